// Markdown that grows, as elements: no HTML of the text is ever taken for more than text.
//
// All blocks but the last ones are done and never touched again, so a long answer costs no more at its end than at its begin.

import { CodeLines } from './code_lines.js';
import { copyButton, h } from './dom.js';
import { withInline } from './inline.js';

// Of a block without an end; what is laid out as a whole takes a browser longer.
const MAX_CHARACTERS = 6000;
const MAX_OF_MANY = 3000;
// A browser leaves out what is not seen, part by part: so many lines, of so many characters.
const LINES_A_PART = 60;
const CHARACTERS_A_LINE = 100;
const MAX_DEPTH = 6;
const FENCE = /^ {0,3}(`{3,}|~{3,})\s*([^\s`]*)[^`]*$/;
const HEADING = /^ {0,3}(#{1,6})\s+(.*?)\s*#*$/;
const RULE = /^ {0,3}([-*_])(?:\s*\1){2,}\s*$/;
const QUOTE = /^ {0,3}> ?/;
const ITEM = /^( *)([-*+]|\d{1,9}[.)])\s+(.*)$/;
const SIDES: Record<string, string> = { '::': 'center', '-:': 'right' };
// A line of code that may be its end, now or with what comes next; what stands in place of any other line.
const MAY_END_CODE = /(?:^|\n)[^\S\n]*[`~]{3}/;
const OTHER = 'x';
// A frame has 16 ms, and must lay out and paint what it was given.
const WORK_MS = 8;
const SLICE_CHARACTERS = 4096;
const TASK = /^\[([ xX])\]\s+/;
const DASHES = /^ {0,3}\|?\s*:?-+:?\s*(?:\|\s*:?-+:?\s*)*\|?\s*$/;

interface Block {
  kind: 'code' | 'heading' | 'rule' | 'quote' | 'list' | 'table' | 'text';
  lines: string[];
  /** The line of the text that it begins with. */
  start: number;
  /** Of code: whether its end has come. */
  isClosed?: boolean;
}

/** The level of the last heading. */
interface Outline {
  level: number;
}

export class MarkdownStream {
  #open = '';
  // What the open text is for now.
  #tentative: HTMLElement[] = [];
  readonly #outline: Outline = { level: 2 };
  // Of code that is still being written: where it goes, what was added to it, and how its last line begins.
  #code: { lines: CodeLines; grown: string[]; line: string } | undefined;
  #part: HTMLElement | undefined;
  // The lines of it that are done.
  #finished = 0;
  // What there was no time for yet.
  #waiting: string[] = [];

  /** `around` calls each write that comes later, as when a text is too long for one frame. */
  constructor(
    private readonly root: HTMLElement,
    private readonly around: (write: () => void) => void = (write) => write(),
  ) {}

  append(text: string): void {
    this.#waiting.push(text);
    if (this.#waiting.length === 1) {
      this.#work();
    }
  }

  /** Take in what waits, for as long as a frame has room for it. */
  #work(): void {
    const end = performance.now() + WORK_MS;
    do {
      const [text = ''] = this.#waiting;
      if (text.length > SLICE_CHARACTERS) {
        this.#waiting[0] = text.slice(SLICE_CHARACTERS);
      } else {
        this.#waiting.shift();
      }
      this.#take(text.slice(0, SLICE_CHARACTERS));
    } while (this.#waiting.length > 0 && performance.now() < end);
    if (this.#waiting.length > 0) {
      // What nobody will see any more is not written.
      const goOn = (): void => (this.root.isConnected ? this.around(() => this.#work()) : undefined);
      document.hidden ? setTimeout(goOn) : requestAnimationFrame(goOn);
    }
  }

  #take(text: string): void {
    if (this.#code !== undefined) {
      const line = this.#code.line + text;
      if (!MAY_END_CODE.test(line)) {
        this.#code.line = startOfFence(line.slice(line.lastIndexOf('\n') + 1));
        this.#code.grown.push(text);
        this.#code.lines.append(text);
        return;
      }
      this.#open += this.#code.grown.join('');
    }
    this.#open += text;
    this.#render();
  }

  #render(): void {
    const lines = this.#open.split('\n');
    const blocks = blocksOf(lines);
    // The last line may still become something else, so it ends no block.
    const start = blocksOf(lines.slice(0, -1)).at(-1)?.start ?? 0;
    for (const element of this.#tentative) {
      element.remove();
    }
    this.#code = undefined;
    for (const block of blocks.filter((one) => one.start < start)) {
      this.#finish(block);
    }
    this.#open = lines.slice(start).join('\n');
    const open = blocks.filter((one) => one.start >= start);
    const [first] = open;
    if (first !== undefined && first.kind !== 'code' && this.#open.length > maxOf(first)) {
      this.#tentative = [];
      const { head, rest } = cut(first, this.#open);
      for (const block of blocksOf(head.split('\n'))) {
        this.#put(block);
      }
      this.#open = rest;
      this.#render();
      return;
    }
    const outline = { ...this.#outline };
    this.#tentative = open.map((block) => {
      // Its first line is whole, its last one is not here yet: what comes next is code.
      if (block === first && block.kind === 'code' && !block.isClosed && block.lines.length > 1) {
        const { element, lines } = codeOf(block);
        this.#code = { lines, grown: [], line: startOfFence(block.lines.at(-1) ?? '') };
        return element;
      }
      return elementOf(block, 0, outline);
    });
    if (this.#part === undefined && this.#tentative.length > 0) {
      this.#part = h('div', { class: 'part' });
      this.root.append(this.#part);
    }
    this.#part?.append(...this.#tentative);
  }

  /** A block that is too long becomes several: the same ones, however the text came. */
  #finish(block: Block): void {
    const text = block.lines.join('\n');
    if (block.kind === 'code' || text.length <= maxOf(block)) {
      this.#put(block);
      return;
    }
    const { head, rest } = cut(block, text);
    for (const one of blocksOf(head.split('\n'))) {
      this.#put(one);
    }
    for (const one of blocksOf(rest.split('\n'))) {
      this.#finish(one);
    }
  }

  #put(block: Block): void {
    if (this.#part === undefined || this.#finished >= LINES_A_PART) {
      this.#part?.setAttribute('class', 'part whole');
      this.#part = h('div', { class: 'part' });
      this.root.append(this.#part);
      this.#finished = 0;
    }
    this.#part.append(elementOf(block, 0, this.#outline));
    for (const line of block.lines) {
      this.#finished += 1 + line.length / CHARACTERS_A_LINE;
    }
  }
}

function maxOf({ kind }: Block): number {
  return kind === 'list' || kind === 'table' ? MAX_OF_MANY : MAX_CHARACTERS;
}

/** Cut a text that begins with a block too long: before an item of a list, behind a row of a table, a line, a word. */
function cut(block: Block, text: string): { head: string; rest: string } {
  const max = maxOf(block);
  const line = text.lastIndexOf('\n', max);
  if (line <= 0) {
    const space = text.lastIndexOf(' ', max);
    return space > 0 ? { head: text.slice(0, space), rest: text.slice(space + 1) } : { head: text.slice(0, max), rest: text.slice(max) };
  }
  let place = line;
  if (block.kind === 'list') {
    // Of the lines that are whole, whatever comes behind them.
    let item = text.lastIndexOf('\n', line - 1);
    while (item > max / 2 && !isNextItem(block, text.slice(item + 1, text.indexOf('\n', item + 1)))) {
      item = text.lastIndexOf('\n', item - 1);
    }
    place = item > max / 2 ? item : line;
  }
  const rest = text.slice(place + 1);
  const head = block.kind === 'table' ? `${block.lines.slice(0, 2).join('\n')}\n` : '';
  return { head: text.slice(0, place), rest: head.length < max / 2 ? head + rest : rest };
}

function isNextItem(block: Block, line: string): boolean {
  const indent = ITEM.exec(block.lines[0] ?? '')?.[1]?.length ?? 0;
  return (ITEM.exec(line)?.[1]?.length ?? Infinity) <= indent + 1;
}

/** Append the blocks of a text that is whole. */
function markdown(root: HTMLElement, text: string, depth: number, outline: Outline): void {
  for (const block of blocksOf(text.split('\n'))) {
    root.append(elementOf(block, depth, outline));
  }
}

function blocksOf(lines: string[]): Block[] {
  const blocks: Block[] = [];
  let block: Block | undefined;
  let fence = '';
  let number = -1;
  const begin = (kind: Block['kind'], line: string): void => {
    block = { kind, lines: [line], start: number };
    blocks.push(block);
  };
  for (const line of lines) {
    number += 1;
    if (block?.kind === 'code' && !block.isClosed) {
      block.lines.push(line);
      block.isClosed = line.trim().startsWith(fence) && line.trim().replaceAll(fence[0] ?? '', '') === '';
      continue;
    }
    const opened = FENCE.exec(line);
    if (opened !== null) {
      fence = opened[1] ?? '';
      begin('code', line);
    } else if (line.trim() === '') {
      // A list may go on behind a blank line; everything else is over.
      if (block?.kind === 'list') {
        block.lines.push(line);
      } else {
        block = undefined;
      }
    } else if (block?.kind === 'list' && !isOtherList(block, line) && (ITEM.test(line) || /^\s{2,}\S/.test(line) || block.lines.at(-1)?.trim())) {
      block.lines.push(line);
    } else if (HEADING.test(line)) {
      begin('heading', line);
    } else if (RULE.test(line)) {
      begin('rule', line);
    } else if (QUOTE.test(line)) {
      block?.kind === 'quote' ? block.lines.push(line) : begin('quote', line);
    } else if (ITEM.test(line)) {
      begin('list', line);
    } else if (block?.kind === 'text' && block.lines.length === 1 && block.lines[0]?.includes('|') && DASHES.test(line)) {
      block.kind = 'table';
      block.lines.push(line);
    } else if (block?.kind === 'text' || (block?.kind === 'table' && line.includes('|'))) {
      block.lines.push(line);
    } else {
      begin('text', line);
    }
  }
  return blocks;
}

/** Whether a line begins a list of the other kind, at the margin of this one. */
function isOtherList(block: Block, line: string): boolean {
  const [, indent = '', mark = ''] = ITEM.exec(block.lines[0] ?? '') ?? [];
  const found = ITEM.exec(line);
  return found !== null && (found[1]?.length ?? 0) <= indent.length + 1 && /\d/.test(found[2] ?? '') !== /\d/.test(mark);
}

/** The line if it may still become the end of code, else what stands for it: a long one is not kept. */
function startOfFence(line: string): string {
  return line.trim().replaceAll(/[`~]/g, '') === '' ? line : OTHER;
}

function codeOf({ lines, isClosed }: Block): { element: HTMLElement; lines: CodeLines } {
  const language = FENCE.exec(lines[0] ?? '')?.[2];
  const code = h('code');
  const parts = new CodeLines(code);
  parts.append(lines.slice(1, isClosed ? -1 : undefined).join('\n'));
  const copy = copyButton('Copy', () => code.textContent ?? '');
  const element = h(
    'div',
    { class: 'code-block', dir: 'ltr' },
    h('div', { class: 'code-head' }, h('span', {}, language ?? ''), copy),
    h('pre', { class: 'code', tabindex: 0, 'aria-label': language ? `Code, ${language}` : 'Code' }, code),
  );
  return { element, lines: parts };
}

function elementOf(block: Block, depth: number, outline: Outline): HTMLElement {
  const { lines } = block;
  switch (block.kind) {
    case 'code':
      return codeOf(block).element;
    case 'heading': {
      const [, marks = '#', text = ''] = HEADING.exec(lines[0] ?? '') ?? [];
      // Below the page's own, and none left out: people go from heading to heading.
      const level = Math.min(6, marks.length + 2, outline.level + 1) as 3 | 4 | 5 | 6;
      outline.level = level;
      return withInline(h(`h${level}`, { dir: 'auto' }), text);
    }
    case 'rule':
      return h('hr');
    case 'quote': {
      const quote = h('blockquote', { dir: 'auto' });
      const inner = lines.map((line) => line.replace(QUOTE, '')).join('\n');
      depth < MAX_DEPTH ? markdown(quote, inner, depth + 1, outline) : withInline(quote, inner);
      return quote;
    }
    case 'list':
      return listOf(lines, depth, outline);
    case 'table':
      return tableOf(lines);
    case 'text':
      return withInline(h('p', { dir: 'auto' }), lines.join('\n'));
  }
}

function listOf(lines: string[], depth: number, outline: Outline): HTMLElement {
  const [, indent = '', mark = '-'] = ITEM.exec(lines[0] ?? '') ?? [];
  const list = /\d/.test(mark) ? h('ol', { dir: 'auto', start: Number.parseInt(mark, 10) }) : h('ul', { dir: 'auto' });
  let item: string[] = [];
  const end = (): void => {
    const [first = '', ...rest] = item;
    const task = TASK.exec(first)?.[1];
    const text = task === undefined ? first : `${task === ' ' ? '☐' : '☑'} ${first.replace(TASK, '')}`;
    const element = withInline(h('li', { class: task === undefined ? null : 'task' }), text);
    const inner = dedented(rest);
    if (inner.trim() !== '') {
      depth < MAX_DEPTH ? markdown(element, inner, depth + 1, outline) : withInline(element, inner);
    }
    list.append(element);
  };
  for (const [number, line] of lines.entries()) {
    const found = ITEM.exec(line);
    if (found !== null && (found[1]?.length ?? 0) <= indent.length + 1) {
      if (number > 0) {
        end();
      }
      item = [found[3] ?? ''];
    } else {
      item.push(line);
    }
  }
  end();
  return list;
}

function dedented(lines: string[]): string {
  const widths = lines.filter((line) => line.trim() !== '').map((line) => line.length - line.trimStart().length);
  const width = Math.min(...widths, 80);
  return lines.map((line) => line.slice(width)).join('\n');
}

function tableOf(lines: string[]): HTMLElement {
  const [head = '', dashes = '', ...rows] = lines;
  const cells = (line: string): string[] => line.trim().replace(/^\||\|$/g, '').split(/(?<!\\)\|/);
  const sides = cells(dashes).map((cell) => SIDES[`${cell.trim().at(0)}${cell.trim().at(-1)}`]);
  const row = (tag: 'th' | 'td', line: string): HTMLElement =>
    h('tr', {}, ...cells(line).map((cell, number) => withInline(h(tag, { class: sides[number] }), cell.trim())));
  const table = h('table', { dir: 'auto' }, h('thead', {}, row('th', head)), h('tbody', {}, ...rows.map((line) => row('td', line))));
  return h('div', { class: 'wide', tabindex: 0, role: 'region', 'aria-label': 'Table' }, table);
}
