// All events as they came. Only the rows that can be seen are there, so that a hundred thousand scroll as ten do.

import { copyButton, h } from './dom.js';
import type { Moment } from './session.js';
import { duration } from './timeline.js';
import { json } from './answer.js';

const ROW_PIXELS = 30;
const SPARE_ROWS = 8;
// Nobody reads faster.
const DRAW_MS = 100;

export class EventsView {
  readonly element: HTMLElement;
  #moments: Moment[] = [];
  #chosen = -1;
  #follows = true;
  #isStale = false;
  #timer: ReturnType<typeof setTimeout> | undefined;
  // A row that is seen stays the same element, or a click on it would be lost while events come.
  readonly #rows = new Map<number, HTMLElement>();

  readonly #count = h('span', { class: 'faint' }, 'No events yet');
  readonly #space = h('div', { class: 'space', role: 'presentation' });
  readonly #box = h('div', {
    class: 'events-box',
    role: 'listbox',
    tabindex: 0,
    'aria-label': 'Events',
    onscroll: () => this.#scrolled(),
    onkeydown: (event: KeyboardEvent) => this.#key(event),
  });
  readonly #shown = h('pre', { class: 'code event', tabindex: 0, 'aria-label': 'The chosen event' }, h('code'));

  constructor() {
    this.#box.append(this.#space);
    const copy = copyButton('Copy all', () => this.#moments.map(({ event }) => JSON.stringify(event)).join('\n'));
    this.element = h('div', { class: 'events' }, h('div', { class: 'row spread' }, this.#count, copy), this.#box, this.#shown);
    new ResizeObserver(() => this.#draw()).observe(this.#box);
    this.begin([]);
  }

  begin(moments: Moment[]): void {
    this.#moments = moments;
    this.#rows.clear();
    this.#space.replaceChildren();
    this.#chosen = -1;
    this.#follows = true;
    this.#box.scrollTop = 0;
    this.#shown.hidden = true;
    this.happened();
  }

  happened(): void {
    const count = this.#moments.length;
    this.#count.textContent = count === 0 ? 'No events yet' : `${count.toLocaleString('en')} events`;
    this.#isStale = true;
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      this.#draw();
    }, DRAW_MS);
  }

  #scrolled(): void {
    const { scrollTop, scrollHeight, clientHeight } = this.#box;
    this.#follows = scrollTop + clientHeight >= scrollHeight - ROW_PIXELS;
    this.#draw();
  }

  #draw(): void {
    const box = this.#box;
    // Where the panel is not shown there is nothing to draw.
    if (box.clientHeight === 0) {
      return;
    }
    this.#space.style.height = `${this.#moments.length * ROW_PIXELS}px`;
    if (this.#isStale && this.#follows && this.#chosen === -1) {
      box.scrollTop = box.scrollHeight;
    }
    this.#isStale = false;
    const first = Math.max(0, Math.floor(box.scrollTop / ROW_PIXELS) - SPARE_ROWS);
    const count = Math.ceil(box.clientHeight / ROW_PIXELS) + 2 * SPARE_ROWS;
    const end = Math.min(this.#moments.length, first + count);
    for (const [number, row] of this.#rows) {
      if (number < first || number >= end) {
        row.remove();
        this.#rows.delete(number);
      }
    }
    for (let number = first; number < end; number += 1) {
      const moment = this.#moments[number];
      if (moment !== undefined && !this.#rows.has(number)) {
        const row = this.#row(moment, number);
        this.#rows.set(number, row);
        this.#space.append(row);
      }
    }
  }

  #row({ event, at }: Moment, number: number): HTMLElement {
    const row = h(
      'div',
      {
        class: 'event-row',
        role: 'option',
        id: `event-${number}`,
        'aria-selected': String(number === this.#chosen),
        'aria-setsize': -1,
        'aria-posinset': number + 1,
        onclick: () => this.#choose(number),
      },
      h('span', { class: 'time' }, duration(at)),
      h('span', { class: 'type' }, event.type),
      h('span', { class: 'detail' }, summary(event)),
    );
    row.style.top = `${number * ROW_PIXELS}px`;
    return row;
  }

  #choose(number: number): void {
    const moment = this.#moments[number];
    if (moment === undefined) {
      return;
    }
    this.#rows.get(this.#chosen)?.setAttribute('aria-selected', 'false');
    this.#rows.get(number)?.setAttribute('aria-selected', 'true');
    this.#chosen = number;
    const top = number * ROW_PIXELS;
    const { scrollTop, clientHeight } = this.#box;
    if (top < scrollTop || top + ROW_PIXELS > scrollTop + clientHeight) {
      this.#box.scrollTop = top - clientHeight / 2;
    }
    this.#shown.hidden = false;
    (this.#shown.firstChild as HTMLElement).textContent = json(moment.event);
    this.#draw();
    this.#box.setAttribute('aria-activedescendant', `event-${number}`);
  }

  #key(event: KeyboardEvent): void {
    const page = Math.floor(this.#box.clientHeight / ROW_PIXELS);
    const last = this.#moments.length - 1;
    const moves: Record<string, number> = {
      ArrowDown: this.#chosen + 1,
      ArrowUp: this.#chosen === -1 ? last : this.#chosen - 1,
      PageDown: this.#chosen + page,
      PageUp: this.#chosen - page,
      Home: 0,
      End: last,
    };
    const move = moves[event.key];
    if (move !== undefined) {
      event.preventDefault();
      this.#choose(Math.max(0, Math.min(last, move)));
    }
  }
}

const PLACE = new Set(['id', 'type', 'run_id', 'sequence', 'timestamp']);

function summary(event: object): string {
  const fields = Object.entries(event).filter(([name]) => !PLACE.has(name));
  return JSON.stringify(Object.fromEntries(fields)).slice(0, 300);
}
