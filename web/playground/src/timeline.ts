// What happened when: one row for each thing, with a bar for how long it took.

import type { RunEvent } from 'dockrion-client';

import { add, h, shown } from './dom.js';
import type { Moment } from './session.js';

const MAX_ROWS = 400;

interface Row {
  element: HTMLElement;
  label: HTMLElement;
  detail: HTMLElement;
  time: HTMLElement;
  took: HTMLElement;
  bar: HTMLElement;
  start: number;
  end: number;
  /** What it holds beside its line, as JSON to open. */
  more: Record<string, unknown> | undefined;
}

export class TimelineView {
  readonly element = h('div', { class: 'timeline' });
  #list = h('ol', { class: 'rows' });
  #rows: Row[] = [];
  // Tokens that come one after the other are one row, which is written once for all of a frame.
  #last: { key: string; row: Row; count: number; node: string | undefined; until: number } | undefined;
  #named = new Map<string, Row>();
  #total = 1;
  #drawn = 0;

  constructor() {
    this.clear();
  }

  clear(): void {
    this.element.replaceChildren(
      h('p', { class: 'empty' }, 'Steps, tool calls, progress and their times appear here during a run.'),
    );
  }

  begin(): void {
    this.#list = h('ol', { class: 'rows', onclick: (event: Event) => this.#open(event.target as Element) });
    this.#rows = [];
    this.#named.clear();
    this.#last = undefined;
    this.#total = 1;
    this.#drawn = 0;
    this.element.replaceChildren(this.#list);
  }

  happened(moments: Moment[]): void {
    for (const { event, at } of moments) {
      this.#total = Math.max(this.#total, at);
      this.#take(event, at);
    }
    this.#writeTokens();
    // All bars change when the whole grows: a few times until it is twice as long.
    if (this.#total > this.#drawn * 1.2) {
      this.settle();
    }
  }

  settle(): void {
    this.#drawn = this.#total;
    this.#list.style.setProperty('--total', String(this.#total));
  }

  #take(event: RunEvent, at: number): void {
    switch (event.type) {
      case 'token': {
        const key = `token ${event.node ?? ''} ${event.message_id ?? ''}`;
        if (this.#last?.key === key) {
          this.#last.count += 1;
          this.#last.until = at;
          return;
        }
        this.#writeTokens();
        this.#last = { key, row: this.#row('token', 'Tokens', '', at), count: 1, node: event.node, until: at };
        return;
      }
      case 'progress': {
        const known = this.#named.get(`progress ${event.step}`);
        const row = known ?? this.#row('progress', event.step, '', at);
        this.#named.set(`progress ${event.step}`, row);
        const meter = h('progress', { max: 1, value: event.progress, 'aria-label': event.step });
        row.detail.replaceChildren(meter, ' ', h('span', { class: 'nowrap' }, `${Math.round(event.progress * 100)} %`), event.message ? ` ${event.message}` : '');
        this.#stretch(row, at);
        return;
      }
      case 'tool_call': {
        const row = this.#row('tool', event.tool, brief(event.arguments), at, { arguments: event.arguments });
        this.#named.set(`tool ${event.call_id ?? event.tool}`, row);
        break;
      }
      case 'tool_result': {
        const known = this.#named.get(`tool ${event.call_id ?? event.tool}`);
        const row = known ?? this.#row('tool', event.tool, '', at - (event.duration_ms ?? 0), {});
        Object.assign(row.more ?? {}, event.error === null ? { output: event.output } : { error: event.error });
        const result = event.error === null ? brief(event.output) : event.error;
        add(row.detail, h('span', { class: event.error === null ? 'outcome' : 'outcome bad' }, ` → ${result}`));
        this.#stretch(row, at);
        if (event.duration_ms !== null) {
          row.took.textContent = duration(event.duration_ms);
        }
        break;
      }
      case 'step': {
        const took = event.duration_ms ?? 0;
        const keys = [event.input_keys, event.output_keys].map((one) => one?.join(', ') ?? '');
        const detail = keys.some(Boolean) ? `${keys[0] || '…'} → ${keys[1] || '…'}` : '';
        const row = this.#row('step', event.node_name, detail, at - took);
        this.#stretch(row, at);
        if (event.duration_ms !== null) {
          row.took.textContent = duration(took);
        }
        break;
      }
      case 'started':
        this.#row('mark', event.attempt === undefined ? 'Started' : `Attempt ${event.attempt}`, event.framework, at);
        break;
      case 'interrupt':
        this.#row('wait', 'Question', brief(event.value), at, { question: event.value });
        break;
      case 'complete':
        this.#row('good', 'Complete', `${duration(event.latency_seconds * 1000)} at the server`, at);
        break;
      case 'error':
        this.#row('bad', event.code, event.error, at);
        break;
      case 'cancelled':
        this.#row('bad', 'Cancelled', event.reason, at);
        break;
      case 'policy':
        this.#row('bad', `Policy: ${event.rule}`, event.message, at);
        break;
      case 'checkpoint':
        this.#row('mark', event.name, brief(event.data), at, { data: event.data });
        break;
      case 'gap':
        this.#row('bad', 'Gap', `${event.from} to ${event.to}`, at);
        break;
      default:
        this.#row('mark', event.type, brief((event as { data?: unknown }).data), at, { data: (event as { data?: unknown }).data });
    }
    this.#writeTokens();
    this.#last = undefined;
  }

  #writeTokens(): void {
    if (this.#last !== undefined) {
      const { row, count, node, until } = this.#last;
      row.detail.textContent = counted(count, node);
      this.#stretch(row, until);
    }
  }

  #row(kind: string, name: string, text: string, at: number, more?: Record<string, unknown>): Row {
    const start = Math.max(0, at);
    const bar = h('span', { class: 'bar' });
    const label = h('span', { class: 'name' }, name);
    const detail = h('span', { class: 'detail' }, text);
    const time = h('span', { class: 'time' }, duration(start));
    const took = h('span', { class: 'took' });
    const what = more === undefined ? h('span', { class: 'what' }) : h('button', { type: 'button', class: 'what', 'aria-expanded': 'false' });
    add(what, label, ' ', detail);
    const element = h('li', { class: `kind-${kind}` }, time, what, took, h('span', { class: 'track', 'aria-hidden': 'true' }, bar));
    const row: Row = { element, label, detail, time, took, bar, start, end: start, more };
    bar.style.setProperty('--start', String(start));
    // A step is told at its end, and stands where it began: before what happened in it.
    let place = this.#rows.length;
    while (place > 1 && (this.#rows[place - 1]?.start ?? 0) > start) {
      place -= 1;
    }
    this.#list.insertBefore(element, this.#rows[place]?.element ?? null);
    this.#rows.splice(place, 0, row);
    if (this.#rows.length > MAX_ROWS) {
      this.#rows.shift()?.element.remove();
    }
    return row;
  }

  /** Write out what a row holds, once somebody looks. */
  #open(target: Element): void {
    const button = target.closest('button.what');
    const row = this.#rows.find(({ element }) => button !== null && element.contains(button));
    if (button === null || row === undefined) {
      return;
    }
    const isOpen = button.getAttribute('aria-expanded') === 'true';
    button.setAttribute('aria-expanded', String(!isOpen));
    row.element.querySelector('pre')?.remove();
    if (!isOpen) {
      button.after(h('pre', { class: 'code', tabindex: 0, 'aria-label': 'Details' }, h('code', {}, shown(row.more))));
    }
  }

  #stretch(row: Row, at: number): void {
    row.end = Math.max(row.end, at);
    row.bar.style.setProperty('--long', String(row.end - row.start));
    row.took.textContent = row.end > row.start ? duration(row.end - row.start) : '';
  }
}

export function duration(ms: number): string {
  if (ms < 1000) {
    return `${Math.round(ms)} ms`;
  }
  return ms < 60_000 ? `${(ms / 1000).toFixed(2)} s` : `${Math.floor(ms / 60_000)} min ${Math.round((ms % 60_000) / 1000)} s`;
}

function counted(count: number, node: string | undefined): string {
  return `${count.toLocaleString('en')}${node ? ` from ${node}` : ''}`;
}

/** The begin of a value, in a line; what is long is not written out for it. */
export function brief(value: unknown, characters = 160): string {
  const cut = (_: string, part: unknown): unknown => (typeof part === 'string' ? part.slice(0, characters + 1) : part);
  const text = typeof value === 'string' ? value : (JSON.stringify(value, cut) ?? '');
  return text.length > characters ? `${text.slice(0, characters)}…` : text;
}
