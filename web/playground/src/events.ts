// All events as they came. Only the rows that can be seen are there, so that a hundred thousand scroll as ten do.

import { copyButton, freshId, h, shown } from './dom.js';
import type { Moment } from './session.js';
import { brief, duration } from './timeline.js';

const ROW_PIXELS = 30;
const SPARE_ROWS = 8;
// Nobody reads faster.
const DRAW_MS = 100;

export class EventsView {
  readonly element: HTMLElement;
  #all: Moment[] = [];
  // Those that are listed: all, or those that are no tokens.
  #moments: Moment[] = [];
  #chosen: Moment | undefined;
  #follows = true;
  #isStale = false;
  #timer: ReturnType<typeof setTimeout> | undefined;
  // A row that is seen stays the same element, or a click on it would be lost while events come.
  readonly #rows = new Map<Moment, { element: HTMLElement; number: number }>();

  readonly #count = h('span', { class: 'faint' }, 'No events yet');
  readonly #others = h('input', { type: 'checkbox', id: freshId('others'), onchange: () => this.happened() });
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
    const copy = copyButton('Copy all', () => this.#listed().map(({ event }) => JSON.stringify(event)).join('\n'));
    const others = h('span', { class: 'flag' }, this.#others, h('label', { for: this.#others.id }, 'Without tokens'));
    this.element = h(
      'div',
      { class: 'events' },
      h('div', { class: 'row' }, this.#count, others, copy),
      h('div', { class: 'beside' }, this.#box, this.#shown),
    );
    new ResizeObserver(() => this.#draw()).observe(this.#box);
    this.begin([]);
  }

  begin(moments: Moment[]): void {
    this.#all = this.#moments = moments;
    this.#rows.clear();
    this.#space.replaceChildren();
    this.#chosen = undefined;
    this.#box.removeAttribute('aria-activedescendant');
    this.#follows = true;
    this.#box.scrollTop = 0;
    this.#shown.hidden = true;
    this.happened();
  }

  happened(): void {
    const count = this.#all.length;
    this.#count.textContent = count === 0 ? 'No events yet' : `${count.toLocaleString('en')} events`;
    this.#isStale = true;
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      this.#draw();
    }, DRAW_MS);
  }

  #listed(): Moment[] {
    return this.#others.checked ? this.#all.filter(({ event }) => event.type !== 'token') : this.#all;
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
    if (this.#isStale) {
      this.#moments = this.#listed();
    }
    this.#space.style.height = `${this.#moments.length * ROW_PIXELS}px`;
    if (this.#isStale && this.#follows && this.#chosen === undefined) {
      box.scrollTop = box.scrollHeight;
    }
    this.#isStale = false;
    const first = Math.max(0, Math.floor(box.scrollTop / ROW_PIXELS) - SPARE_ROWS);
    const count = Math.ceil(box.clientHeight / ROW_PIXELS) + 2 * SPARE_ROWS;
    const end = Math.min(this.#moments.length, first + count);
    const seen = new Set(this.#moments.slice(first, end));
    for (const [moment, { element }] of this.#rows) {
      if (!seen.has(moment)) {
        element.remove();
        this.#rows.delete(moment);
      }
    }
    let number = first;
    for (const moment of seen) {
      const row = this.#rows.get(moment) ?? this.#row(moment);
      // Of a long run the oldest go, and the others take their places.
      if (row.number !== number) {
        row.number = number;
        row.element.style.top = `${number * ROW_PIXELS}px`;
        row.element.setAttribute('aria-posinset', String(number + 1));
      }
      number += 1;
    }
  }

  #row(moment: Moment): { element: HTMLElement; number: number } {
    const { event, at } = moment;
    const element = h(
      'div',
      {
        class: 'event-row',
        role: 'option',
        id: freshId('event'),
        'aria-selected': String(moment === this.#chosen),
        'aria-setsize': -1,
        onclick: () => this.#choose(moment),
      },
      h('span', { class: 'time' }, duration(at)),
      h('span', { class: 'type' }, event.type),
      h('span', { class: 'detail' }, summary(event)),
    );
    this.#space.append(element);
    const row = { element, number: -1 };
    this.#rows.set(moment, row);
    return row;
  }

  #choose(moment: Moment | undefined): void {
    if (moment === undefined) {
      return;
    }
    const before = this.#chosen === undefined ? undefined : this.#rows.get(this.#chosen);
    before?.element.setAttribute('aria-selected', 'false');
    this.#rows.get(moment)?.element.setAttribute('aria-selected', 'true');
    this.#chosen = moment;
    const top = this.#moments.lastIndexOf(moment) * ROW_PIXELS;
    const { scrollTop, clientHeight } = this.#box;
    if (top < scrollTop || top + ROW_PIXELS > scrollTop + clientHeight) {
      this.#box.scrollTop = top - clientHeight / 2;
    }
    this.#shown.hidden = false;
    (this.#shown.firstChild as HTMLElement).textContent = shown(moment.event);
    this.#draw();
    const row = this.#rows.get(moment);
    if (row !== undefined) {
      this.#box.setAttribute('aria-activedescendant', row.element.id);
    }
  }

  #key(event: KeyboardEvent): void {
    const page = Math.floor(this.#box.clientHeight / ROW_PIXELS);
    const last = this.#moments.length - 1;
    const chosen = this.#chosen === undefined ? -1 : this.#moments.lastIndexOf(this.#chosen);
    const moves: Record<string, number> = {
      ArrowDown: chosen + 1,
      ArrowUp: chosen === -1 ? last : chosen - 1,
      PageDown: chosen + page,
      PageUp: chosen - page,
      Home: 0,
      End: last,
    };
    const move = moves[event.key];
    if (move !== undefined) {
      event.preventDefault();
      this.#choose(this.#moments[Math.max(0, Math.min(last, move))]);
    }
  }
}

const PLACE = new Set(['id', 'type', 'run_id', 'sequence', 'timestamp']);

function summary(event: object): string {
  const fields = Object.entries(event).filter(([name]) => !PLACE.has(name));
  return brief(Object.fromEntries(fields), 300);
}
