// How fast the tokens come: the time to the first, the gaps between them, and a plot of both.

import { h, svg } from './dom.js';
import type { Moment } from './session.js';
import { duration } from './timeline.js';

const WIDTH = 240;
const HEIGHT = 36;
const COLUMNS = 80;
// Of a longer stream the figures are those of its end.
const MAX_GAPS = 20_000;
const DRAW_MS = 250;

export class PulseView {
  readonly element: HTMLElement;
  #first: number | undefined;
  #last = 0;
  #count = 0;
  #kept = 0;
  readonly #times = new Float64Array(2 * MAX_GAPS);
  readonly #gaps = new Float64Array(2 * MAX_GAPS);
  #drawnAt = 0;

  readonly #values = new Map<string, HTMLElement>();
  readonly #plot = svg('svg', { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: 'none', class: 'plot', role: 'img' });

  constructor() {
    const tiles = ['First token', 'Tokens', 'Rate', 'Median gap', 'Longest gap'].map((name) => {
      const value = h('dd', {}, '–');
      this.#values.set(name, value);
      return h('div', { class: 'tile' }, h('dt', {}, name), value);
    });
    this.element = h(
      'section',
      { class: 'pulse-strip', 'aria-label': 'Speed', hidden: true },
      h('dl', { class: 'tiles' }, ...tiles),
      h('figure', {}, h('figcaption', { class: 'faint' }, 'The wait for the first, then the gaps')),
    );
    this.element.querySelector('figure')?.prepend(this.#plot);
    this.#draw();
  }

  begin(): void {
    this.#first = undefined;
    this.#last = this.#count = this.#kept = this.#drawnAt = 0;
    this.element.hidden = false;
    this.#draw();
  }

  happened(moments: Moment[]): void {
    for (const { event, at } of moments) {
      if (event.type !== 'token') {
        continue;
      }
      if (this.#first === undefined) {
        this.#first = at;
      } else {
        this.#keep(at, at - this.#last);
      }
      this.#last = at;
      this.#count += 1;
    }
    const now = performance.now();
    if (now - this.#drawnAt > DRAW_MS) {
      this.#drawnAt = now;
      this.#draw();
    }
  }

  /** Of a run that gave no tokens there is nothing to tell. */
  settle(): void {
    this.element.hidden = this.#count === 0;
    this.#draw();
  }

  #keep(at: number, gap: number): void {
    if (this.#kept === this.#gaps.length) {
      for (const all of [this.#times, this.#gaps]) {
        all.copyWithin(0, MAX_GAPS);
      }
      this.#kept = MAX_GAPS;
    }
    this.#times[this.#kept] = at;
    this.#gaps[this.#kept] = gap;
    this.#kept += 1;
  }

  #draw(): void {
    const first = this.#first;
    const seconds = first === undefined ? 0 : (this.#last - first) / 1000;
    const sorted = this.#gaps.slice(0, this.#kept).sort();
    const gaps = sorted.length > 0;
    const texts: Record<string, string> = {
      'First token': first === undefined ? '–' : duration(first),
      Tokens: this.#count === 0 ? '–' : this.#count.toLocaleString('en'),
      Rate: seconds > 0 ? `${rate((this.#count - 1) / seconds)}/s` : '–',
      'Median gap': gaps ? brief(sorted[sorted.length >> 1] ?? 0) : '–',
      'Longest gap': gaps ? brief(sorted[sorted.length - 1] ?? 0) : '–',
    };
    for (const [name, value] of this.#values) {
      value.textContent = texts[name] ?? '';
    }
    this.#plot.setAttribute(
      'aria-label',
      first === undefined
        ? 'No tokens yet.'
        : `First token after ${duration(first)}; longest gap ${texts['Longest gap']}, median ${texts['Median gap']}.`,
    );
    this.#plot.replaceChildren(...this.#shapes(sorted[sorted.length - 1] ?? 0));
  }

  /** The wait for the first token as an area, then of each stretch of time the longest gap in it. */
  #shapes(longest: number): SVGElement[] {
    const ground = svg('line', { x1: 0, x2: WIDTH, y1: HEIGHT - 0.5, y2: HEIGHT - 0.5, class: 'ground' });
    if (this.#first === undefined) {
      return [ground];
    }
    const total = Math.max(this.#last, 1);
    const width = WIDTH / COLUMNS;
    const columns = new Float64Array(COLUMNS);
    for (let number = 0; number < this.#kept; number += 1) {
      const column = Math.min(COLUMNS - 1, Math.floor(((this.#times[number] ?? 0) / total) * COLUMNS));
      columns[column] = Math.max(columns[column] ?? 0, this.#gaps[number] ?? 0);
    }
    const bars = [...columns].flatMap((gap, column) => {
      if (gap === 0) {
        return [];
      }
      const height = Math.max(1.5, (gap / Math.max(longest, 1)) * (HEIGHT - 4));
      return [svg('rect', { x: column * width, y: HEIGHT - height, width: width * 0.72, height, class: 'gap' })];
    });
    const wait = svg('rect', { x: 0, y: 0, width: (this.#first / total) * WIDTH, height: HEIGHT, class: 'wait' });
    return [wait, ...bars, ground];
  }
}

function rate(perSecond: number): string {
  return perSecond >= 10 ? Math.round(perSecond).toLocaleString('en') : perSecond.toFixed(1);
}

function brief(ms: number): string {
  return ms < 10 ? `${ms.toFixed(1)} ms` : duration(ms);
}
