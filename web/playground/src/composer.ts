// What the agent is to be given: a form, a conversation, or JSON.

import type { DockrionError } from 'dockrion-client';

import { freshId, h, tabs } from './dom.js';
import { type Described, facts } from './facts.js';
import { exampleFor, type Field, formOf, isObject } from './form.js';
import type { Order, Way } from './session.js';
import { type Message, type Talk, talkOf } from './talk.js';

const WAYS: { way: Way; title: string; hint: string; isOn: boolean }[] = [
  { way: 'stream', title: 'Stream', hint: 'POST /invoke/stream: events as they come', isOn: facts.stream },
  { way: 'background', title: 'Background', hint: 'POST /runs: the run goes on without this page', isOn: facts.runs },
  { way: 'wait', title: 'Wait', hint: 'POST /invoke: the output, once it is there', isOn: facts.invoke },
];

export interface Composing {
  run: () => void;
  changed: () => void;
  forget: () => void;
}

export class Composer {
  readonly element = h('form', { class: 'composer', novalidate: true });
  readonly #threadId = h('input', { id: freshId('thread'), type: 'text', autocomplete: 'off', spellcheck: 'false' });
  readonly #ways = WAYS.filter((one) => one.isOn);
  #way: Way = this.#ways[0]?.way ?? 'stream';
  #form: Field | undefined;
  #json = h('textarea', { class: 'mono', rows: 10, spellcheck: 'false', id: freshId('json') });
  #problem = h('p', { class: 'problem', id: freshId('problem'), role: 'alert', hidden: true });
  #talk: Talk | undefined;
  #line = h('textarea', { rows: 2, id: freshId('line'), dir: 'auto', placeholder: 'Say something' });
  #messages: Message[] = [];
  #talkId = '';
  #tabs: ReturnType<typeof tabs> | undefined;
  readonly #keys = h('span', { class: 'faint keys' });
  readonly #fresh = h('button', { type: 'button', class: 'quiet', onclick: () => this.#freshTalk() }, 'New conversation');
  readonly #fill = h('button', { type: 'button', class: 'quiet', onclick: () => this.#fillIn() }, 'Use the example');
  #example: unknown;
  // How to run, which stands behind the options of a conversation.
  readonly #choice = h('div', { class: 'choice' });
  readonly #how = h('div', { class: 'how' });
  readonly #more = h('div', { class: 'fields' });
  #run = h('button', { class: 'primary', type: 'submit' }, 'Run');

  constructor(private readonly composing: Composing) {
    this.#options();
    this.element.addEventListener('submit', (event) => {
      event.preventDefault();
      composing.run();
    });
    this.element.addEventListener('input', () => {
      this.#problem.hidden = true;
      composing.changed();
    });
    this.element.addEventListener('keydown', (event) => {
      const isLine = event.target === this.#line && !event.shiftKey;
      if (event.key === 'Enter' && !event.isComposing && (event.ctrlKey || event.metaKey || isLine)) {
        event.preventDefault();
        composing.run();
      }
    });
  }

  /** Whether there is a way to run the agent here: it may be served to clients of other protocols alone. */
  get canRun(): boolean {
    return this.#ways.length > 0;
  }

  get way(): Way {
    return this.#way;
  }

  /** Make the fields of what the agent takes; without a schema there is JSON alone. */
  describe(described: Described | undefined): void {
    const schema = described?.input ?? undefined;
    this.#form = schema === undefined ? undefined : formOf(schema);
    this.#talk = talkOf(schema);
    this.#example = schema && exampleFor(schema, schema);
    this.#json.value = JSON.stringify(this.#form?.value() ?? {}, null, 2);
    this.#json.setAttribute('aria-describedby', this.#problem.id);
    const panels = [
      { key: 'chat', title: 'Chat', panel: this.#talk && this.#chatPanel() },
      { key: 'form', title: 'Form', panel: this.#form && h('div', {}, this.#form.element) },
      {
        key: 'json',
        title: 'JSON',
        panel: h('div', { class: 'field' }, h('label', { for: this.#json.id }, 'Payload'), this.#json, this.#problem),
      },
    ].flatMap(({ panel, ...entry }) => (panel === undefined ? [] : [{ ...entry, panel }]));
    let before = '';
    this.#tabs = tabs('Input', panels, (key) => {
      this.#carry(before, key);
      before = key;
      this.#run.textContent = key === 'chat' ? 'Send' : 'Run';
      this.#keys.textContent = key === 'chat' ? 'Enter' : 'Ctrl + Enter';
      this.#fresh.hidden = key !== 'chat';
      this.#fill.hidden = key === 'chat' || this.#example === undefined;
      (key === 'chat' ? this.#more : this.#how).prepend(this.#choice);
      this.composing.changed();
    });
    this.element.replaceChildren(
      panels.length > 1 ? this.#tabs.bar : h('h2', {}, 'Input'),
      ...panels.map(({ panel }) => panel),
      this.#how,
      h('div', { class: 'row actions' }, this.#run, this.#keys, this.#fill, this.#fresh),
    );
    this.composing.changed();
  }

  /** What is to be run now; `undefined`, with the reason beside the field, when that is not clear. */
  order(): Order | undefined {
    const threadId = this.#threadId.value.trim() || undefined;
    if (this.#tabs?.current() === 'chat' && this.#talk !== undefined) {
      const said = this.#line.value.trim();
      if (said === '') {
        this.#line.focus();
        return undefined;
      }
      const own = this.#talk.isHistory ? undefined : this.#talkId;
      return { way: this.#way, payload: this.#said(said), threadId: threadId ?? own, said };
    }
    if (this.#tabs?.current() === 'json') {
      try {
        return { way: this.#way, payload: JSON.parse(this.#json.value) as unknown, threadId };
      } catch (error) {
        this.#complain(`This is not JSON: ${error instanceof Error ? error.message : ''}`);
        this.#json.focus();
        return undefined;
      }
    }
    this.#form?.clear();
    return { way: this.#way, payload: this.#form?.value() ?? {}, threadId };
  }

  get isChat(): boolean {
    return this.#tabs?.current() === 'chat';
  }

  /** The payload as it stands, for code to copy. */
  payload(): unknown {
    switch (this.#tabs?.current()) {
      case 'chat':
        return this.#said(this.#line.value.trim() || 'Hello');
      case 'json':
        try {
          return JSON.parse(this.#json.value) as unknown;
        } catch {
          return {};
        }
      default:
        return this.#form?.value() ?? {};
    }
  }

  /** Take note that a turn of the conversation is on its way, and later what was answered. */
  sent(order: Order): void {
    if (order.said !== undefined) {
      this.#messages.push({ role: 'user', content: order.said });
      this.#line.value = '';
    }
  }

  answered(order: Order | undefined, reply: string): void {
    if (order?.said !== undefined && reply !== '') {
      this.#messages.push({ role: 'assistant', content: reply });
    }
  }

  /** What was said has not reached the agent: it can be said again. */
  unsaid({ said }: Order): void {
    if (said !== undefined && this.#messages.at(-1)?.content === said) {
      this.#messages.pop();
      this.#line.value ||= said;
    }
  }

  /** Show what the server says is wrong with the payload, each at its field. */
  refuse(error: DockrionError): void {
    const problems = Array.isArray(error.details) ? error.details.filter(isObject) : [];
    const isForm = this.#tabs?.current() === 'form';
    const left = problems.filter(({ pointer, message }) => {
      return !isForm || !this.#form?.complain(String(pointer ?? ''), String(message));
    });
    const field = this.element.querySelector<HTMLElement>('[aria-invalid]');
    field?.focus();
    if (left.length > 0) {
      this.#complain(left.map(({ pointer, message }) => `${String(pointer)} ${String(message)}`.trim()).join('\n'));
    }
  }

  focus(): void {
    this.element.querySelector<HTMLElement>('[role=tabpanel]:not([hidden]) :is(input, textarea, select)')?.focus();
  }

  /** A button that cannot be pressed now keeps the focus all the same: who has pressed it is still there. */
  busy(isBusy: boolean): void {
    this.#run.setAttribute('aria-disabled', String(isBusy));
  }

  focusRun(): void {
    this.#run.focus({ preventScroll: true });
  }

  #complain(text: string): void {
    this.#problem.textContent = text;
    this.#problem.hidden = false;
  }

  /** What was written in one panel stands in the next. */
  #carry(from: string, to: string): void {
    if (from === 'form' && to === 'json') {
      this.#json.value = JSON.stringify(this.#form?.value() ?? {}, null, 2);
    } else if (from === 'json' && to === 'form') {
      try {
        this.#form?.set(JSON.parse(this.#json.value));
      } catch {
        // The form stays as it was.
      }
    }
  }

  #said(text: string): unknown {
    const talk = this.#talk;
    const others = this.#form?.value();
    const said = talk?.isHistory ? [...this.#messages, { role: 'user', content: text }] : text;
    return { ...(isObject(others) ? others : {}), [talk?.property ?? 'messages']: said };
  }

  #chatPanel(): HTMLElement {
    this.#newTalk();
    return h('div', { class: 'field' }, h('label', { for: this.#line.id }, 'Message'), this.#line);
  }

  #freshTalk(): void {
    this.#newTalk();
    this.composing.forget();
    this.#line.focus();
  }

  /** Put in what the schema gives as an example; what it says nothing of stays. */
  #fillIn(): void {
    const before = this.payload();
    const value = isObject(before) && isObject(this.#example) ? { ...before, ...this.#example } : this.#example;
    this.#form?.set(value);
    this.#json.value = JSON.stringify(value, null, 2);
    this.composing.changed();
    this.focusRun();
  }

  #newTalk(): void {
    this.#messages = [];
    this.#talkId = `playground-${Date.now().toString(36)}${Math.random().toString(36).slice(2, 8)}`;
  }

  #options(): void {
    const group = h('div', { class: 'ways', role: 'radiogroup', 'aria-label': 'How to run' });
    const name = freshId('way');
    const hint = h('p', { class: 'hint' });
    if (!this.canRun) {
      this.#run.disabled = true;
      hint.textContent = 'This agent is served to clients of other protocols alone. Their addresses are under Code.';
      this.#choice.append(hint);
      return;
    }
    for (const { way, title, hint: text } of this.#ways) {
      const choose = (): void => {
        this.#way = way;
        hint.textContent = text;
        this.composing.changed();
      };
      const radio = h('input', { type: 'radio', name, value: way, id: freshId('way'), onchange: choose });
      radio.checked = way === this.#way;
      group.append(radio, h('label', { for: radio.id }, title));
      if (radio.checked) {
        hint.textContent = text;
      }
    }
    this.#choice.append(group, hint);
    this.#more.append(
      h(
        'div',
        { class: 'field' },
        h('label', { for: this.#threadId.id }, 'Thread', h('span', { class: 'faint' }, ' optional')),
        this.#threadId,
        h('p', { class: 'hint' }, 'Runs of one thread are one conversation, for agents that keep any.'),
      ),
    );
    this.#how.append(h('details', {}, h('summary', {}, 'Options'), this.#more));
  }
}
