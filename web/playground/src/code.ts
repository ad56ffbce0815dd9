// The same call from elsewhere: what to paste into a terminal, into Python, into JavaScript.

import { copyButton, h } from './dom.js';
import { base, facts, isKey } from './facts.js';
import type { Way } from './session.js';

export type Language = 'curl' | 'Python' | 'JavaScript';
const LANGUAGES: Language[] = ['curl', 'Python', 'JavaScript'];
const PATHS: Record<Way, string> = { stream: '/invoke/stream', wait: '/invoke', background: '/runs' };

export class CodeView {
  readonly element: HTMLElement;
  #payload: unknown = {};
  #way: Way = 'stream';
  readonly #code = h('code');
  readonly #choice = h(
    'select',
    { 'aria-label': 'Language', onchange: () => this.#draw() },
    ...LANGUAGES.map((language) => h('option', {}, language)),
  );

  constructor() {
    this.element = h(
      'div',
      { class: 'snippets' },
      h('div', { class: 'row spread' }, this.#choice, copyButton('Copy', () => this.#code.textContent ?? '')),
      h('pre', { class: 'code', tabindex: 0, 'aria-label': 'Code of this call' }, this.#code),
      facts.auth === null
        ? null
        : h('p', { class: 'faint' }, `Put your ${isKey() ? 'key' : 'token'} into the environment variable ${variable()}.`),
    );
    this.#draw();
  }

  show(payload: unknown, way: Way): void {
    this.#payload = payload;
    this.#way = way;
    this.#draw();
  }

  #draw(): void {
    this.#code.textContent = snippet(this.#choice.value as Language, this.#way, this.#payload);
  }
}

export function snippet(language: Language, way: Way, payload: unknown): string {
  const url = `${base}${PATHS[way]}`;
  switch (language) {
    case 'curl':
      return curl(url, way, payload);
    case 'Python':
      return python(way, payload);
    case 'JavaScript':
      return javascript(url, way, payload);
  }
}

function variable(): string {
  return isKey() ? 'KEY' : 'TOKEN';
}

function curl(url: string, way: Way, payload: unknown): string {
  const auth = facts.auth;
  const value = isKey() ? `$${variable()}` : `Bearer $${variable()}`;
  return [
    `curl ${way === 'stream' ? '-N ' : ''}-X POST ${quoted(url)}`,
    ...(auth === null ? [] : [`-H "${auth.header}: ${value}"`]),
    `-H 'Content-Type: application/json'`,
    `-d ${quoted(JSON.stringify(payload))}`,
  ].join(' \\\n  ');
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}

function python(way: Way, payload: unknown): string {
  const { auth } = facts;
  const secret = `os.environ["${variable()}"]`;
  const name = auth?.header === 'X-API-Key' ? '' : `, api_key_header=${pythonic(auth?.header)}`;
  const options = auth === null ? '' : isKey() ? `, api_key=${secret}${name}` : `, token=${secret}`;
  const calls: Record<Way, string[]> = {
    stream: [
      '    with client.stream(payload) as events:',
      '        for event in events:',
      '            print(event.type, event.fields)',
    ],
    wait: ['    print(client.invoke(payload).output)'],
    background: ['    print(client.runs.create(payload))'],
  };
  return [
    ...(auth === null ? [] : ['import os', '']),
    'from dockrion import Client',
    '',
    `payload = ${pythonic(payload)}`,
    '',
    `with Client(${pythonic(base)}${options}) as client:`,
    ...calls[way],
  ].join('\n');
}

/** JSON as Python writes it: its strings are Python's, its three words are not. */
function pythonic(value: unknown): string {
  if (value === null || value === undefined) {
    return 'None';
  }
  if (typeof value === 'boolean') {
    return value ? 'True' : 'False';
  }
  if (Array.isArray(value)) {
    return `[${value.map(pythonic).join(', ')}]`;
  }
  if (typeof value === 'object') {
    return `{${Object.entries(value).map(([name, one]) => `${JSON.stringify(name)}: ${pythonic(one)}`).join(', ')}}`;
  }
  return JSON.stringify(value);
}

function javascript(url: string, way: Way, payload: unknown): string {
  const { auth } = facts;
  const value = isKey() ? `process.env.${variable()}` : `\`Bearer \${process.env.${variable()}}\``;
  const request = [
    `const response = await fetch(${JSON.stringify(url)}, {`,
    `  method: 'POST',`,
    auth === null
      ? `  headers: { 'Content-Type': 'application/json' },`
      : `  headers: { 'Content-Type': 'application/json', ${JSON.stringify(auth.header)}: ${value} },`,
    `  body: JSON.stringify(${JSON.stringify(payload)}),`,
    '});',
    'if (!response.ok) throw new Error(await response.text());',
  ];
  if (way !== 'stream') {
    return [...request, 'console.log(await response.json());'].join('\n');
  }
  return [
    ...request,
    '',
    `let text = '';`,
    'for await (const piece of response.body.pipeThrough(new TextDecoderStream())) {',
    `  const frames = (text + piece).split('\\n\\n');`,
    '  text = frames.pop();',
    '  for (const frame of frames) {',
    `    const data = frame.split('\\n').find((line) => line.startsWith('data: '));`,
    '    if (data) console.log(JSON.parse(data.slice(6)));',
    '  }',
    '}',
  ].join('\n');
}
