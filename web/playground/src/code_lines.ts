// Code that grows, in parts of some lines: a browser lays out those parts that are seen, and of the others nothing.

import { h } from './dom.js';

const LINES_A_PART = 100;

export class CodeLines {
  #last: HTMLElement | undefined;
  #text: Text;
  #count = 0;

  constructor(private readonly root: HTMLElement) {
    this.#text = this.#part();
  }

  /** The same parts, however the code came. */
  append(text: string): void {
    let start = 0;
    for (;;) {
      const newline = text.indexOf('\n', start);
      if (newline === -1) {
        break;
      }
      this.#count += 1;
      if (this.#count === LINES_A_PART) {
        this.#text.appendData(text.slice(0, newline + 1));
        // Where it is not seen, a browser may leave out a part that is whole; how high the last one is, it should know.
        this.#last?.setAttribute('class', 'lines whole');
        this.#text = this.#part();
        text = text.slice(newline + 1);
        this.#count = start = 0;
      } else {
        start = newline + 1;
      }
    }
    this.#text.appendData(text);
  }

  #part(): Text {
    const text = document.createTextNode('');
    this.#last = h('span', { class: 'lines' }, text);
    this.root.append(this.#last);
    return text;
  }
}
