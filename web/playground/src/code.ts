// The same call from elsewhere: what to paste into a terminal, into Python, into JavaScript.

import { copyButton, h } from './dom.js';
import { base, facts, isKey } from './facts.js';
import type { Way } from './session.js';

export type Language = 'curl' | 'Python' | 'JavaScript' | 'EventSource';
// A browser's `EventSource` sends no payload, so it can only follow a run that is started before.
const LANGUAGES: Language[] = ['curl', 'Python', 'JavaScript', ...(facts.runs ? (['EventSource'] as const) : [])];
const PATHS: Record<Way, string> = { stream: '/invoke/stream', wait: '/invoke', background: '/runs' };

export class CodeView {
  readonly element: HTMLElement;
  #payload: unknown = {};
  #way: Way = 'stream';
  readonly #code = h('code');
  readonly #hint = h('p', { class: 'faint' });
  readonly #choice = h(
    'select',
    { 'aria-label': 'Language', onchange: () => this.#draw() },
    ...LANGUAGES.map((language) => h('option', {}, language)),
  );

  constructor() {
    this.element = h(
      'div',
      { class: 'snippets' },
      ...(facts.stream || facts.invoke || facts.runs
        ? [
            h('div', { class: 'row spread' }, this.#choice, copyButton('Copy', () => this.#code.textContent ?? '')),
            h('pre', { class: 'code', tabindex: 0, 'aria-label': 'Code of this call' }, this.#code),
            this.#hint,
          ]
        : []),
      facts.speaks.length === 0
        ? null
        : h(
            'dl',
            { class: 'speaks' },
            ...facts.speaks.flatMap(({ name, path }) => [h('dt', {}, name), h('dd', { class: 'mono' }, addressOf(name, path))]),
          ),
    );
    this.#draw();
  }

  show(payload: unknown, way: Way): void {
    this.#payload = payload;
    this.#way = way;
    this.#draw();
  }

  #draw(): void {
    const language = this.#choice.value as Language;
    this.#code.textContent = snippet(language, this.#way, this.#payload);
    this.#hint.textContent =
      language === 'EventSource'
        ? 'For a page in a browser: the run is started, then followed with what every browser has, which comes back by itself.'
        : facts.auth === null
          ? ''
          : `Put your ${isKey() ? 'key' : 'token'} into the environment variable ${variable()}.`;
  }
}

function addressOf(name: string, path: string): string {
  return `${name === 'WebSocket' ? base.replace(/^http/, 'ws') : base}${path}`;
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
    case 'EventSource':
      return eventSource(payload);
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

function eventSource(payload: unknown): string {
  const { auth } = facts;
  const json = `'Content-Type': 'application/json'`;
  const value = isKey() ? 'key' : '`Bearer ${token}`';
  const secret = isKey() ? `const key = prompt('API key');` : `const token = prompt('Token');`;
  return [
    `const base = ${JSON.stringify(base)};`,
    ...(auth === null ? [] : [secret]),
    `const headers = { ${auth === null ? json : `${json}, ${JSON.stringify(auth.header)}: ${value}`} };`,
    'async function post(path, body) {',
    `  const response = await fetch(base + path, { method: 'POST', headers, body: JSON.stringify(body) });`,
    '  if (!response.ok) throw new Error(await response.text());',
    '  return response.json();',
    '}',
    '',
    `const { run_id } = await post('/runs', ${JSON.stringify(payload)});`,
    'const path = `/runs/${run_id}/events`;',
    ...(auth === null
      ? ['const events = new EventSource(base + path);']
      : [
          '// It sends no headers: a ticket stands for them once, a cookie of this path when it comes back.',
          `const { ticket } = await post('/auth/ticket', { path });`,
          'const events = new EventSource(`${base}${path}?ticket=${ticket}`);',
        ]),
    `for (const type of ['started', 'token', 'interrupt', 'complete', 'error', 'cancelled']) {`,
    '  events.addEventListener(type, (event) => {',
    '    // A connection that breaks is an `error` without data.',
    `    if (!('data' in event)) return;`,
    '    console.log(JSON.parse(event.data));',
    `    if (['complete', 'error', 'cancelled'].includes(type)) events.close();`,
    '  });',
    '}',
  ].join('\n');
}
