// What the agent says: tokens as they come, its output, its questions, how it ended.

import type { InterruptEvent, RunEvent } from 'dockrion-client';

import { add, copyButton, freshId, h } from './dom.js';
import { isObject } from './form.js';
import { MarkdownStream } from './markdown.js';
import type { Moment, Recording, Status } from './session.js';

export interface Answering {
  answer: (question: InterruptEvent, value: unknown) => Promise<void>;
  readonly canAnswer: boolean;
  /** The run went on long ago: whatever comes behind a question says that it was answered. */
  readonly hasHappened: boolean;
}

const MAX_SHOWN_CHARACTERS = 200_000;

/** Where the reply of an agent stands in an output that is an object. */
export type ReplyOf = (output: unknown) => string | undefined;

export class AnswerView {
  readonly element = h('div', { class: 'answer' });
  /** What the agent has said in words, for the next turn of a conversation. */
  said = '';

  #turn = h('div', { class: 'turn' });
  #speech = h('div', { class: 'speech', 'aria-busy': 'false' });
  #voices = new Map<string, MarkdownStream>();
  #cards = new Map<string, HTMLElement>();
  #hasTokens = false;
  #thinking: HTMLElement | undefined;

  /** `around` calls each write that comes later than what it is of. */
  constructor(
    private readonly answering: Answering,
    private readonly replyOf: ReplyOf,
    private readonly around: (write: () => void) => void,
  ) {
    this.clear();
  }

  clear(): void {
    this.element.replaceChildren(
      h(
        'div',
        { class: 'empty' },
        h('p', {}, 'Nothing yet.'),
        h('p', { class: 'faint' }, 'Give the agent its input and run it: the answer appears here as it comes.'),
      ),
    );
  }

  /** A conversation keeps what was said before. */
  begin({ order }: Recording): void {
    const said = order?.said;
    if (said === undefined) {
      this.element.replaceChildren();
    } else {
      this.element.querySelector('.empty')?.remove();
    }
    this.#heard();
    this.#voices.clear();
    this.#cards.clear();
    this.#hasTokens = false;
    this.said = '';
    this.#speech = h('div', { class: 'speech', 'aria-busy': 'true' });
    this.#turn = h('div', { class: 'turn' });
    add(this.#turn, said === undefined ? null : h('p', { class: 'said' }, said), this.#speech);
    this.#thinking = h('p', { class: 'thinking' }, h('span', { class: 'pulse', 'aria-hidden': 'true' }), 'Waiting for the agent');
    this.#speech.append(this.#thinking);
    this.element.append(this.#turn);
  }

  #heard(): void {
    this.#thinking?.remove();
    this.#thinking = undefined;
  }

  happened(moments: Moment[]): void {
    // One write for all that a voice has said since the last frame.
    const texts = new Map<string, string>();
    for (const { event } of moments) {
      if (this.#cards.size > 0 && event.type !== 'interrupt' && this.answering.hasHappened) {
        for (const card of this.#cards.values()) {
          close(card, 'Answered.');
        }
        this.#cards.clear();
      }
      if (event.type === 'token') {
        const voice = `${event.node ?? ''}\n${event.message_id ?? ''}`;
        texts.set(voice, (texts.get(voice) ?? '') + event.content);
        continue;
      }
      this.#speak(texts);
      this.#other(event);
    }
    this.#speak(texts);
  }

  changed(status: Status, recording: Recording): void {
    if (['running', 'reconnecting', 'waiting'].includes(status)) {
      return;
    }
    this.#speech.setAttribute('aria-busy', 'false');
    this.#heard();
    for (const card of this.#cards.values()) {
      close(card, this.answering.canAnswer && status !== 'aside' ? 'It cannot be answered any more.' : '');
    }
    this.#cards.clear();
    const { error } = recording;
    if (error !== undefined) {
      const later = error.retryAfterSeconds === undefined ? '' : ` Try again in ${error.retryAfterSeconds} s.`;
      this.#turn.append(problemCard(error.code, `${error.message}${later}`, error.details));
    } else if (status === 'aside') {
      this.#turn.append(h('p', { class: 'note' }, 'It goes on in the background. The list of runs has it.'));
    } else if (status === 'left') {
      this.#turn.append(h('p', { class: 'note' }, 'Stopped. What the agent would have said next is not known here.'));
    }
  }

  #speak(texts: Map<string, string>): void {
    for (const [voice, text] of texts) {
      this.#heard();
      let stream = this.#voices.get(voice);
      if (stream === undefined) {
        const [node] = voice.split('\n');
        const place = h('div', { class: 'prose' });
        add(this.#speech, node ? h('p', { class: 'voice' }, node) : null, place);
        stream = new MarkdownStream(place, this.around);
        this.#voices.set(voice, stream);
      }
      stream.append(text);
      this.said += text;
      this.#hasTokens = true;
    }
    texts.clear();
  }

  #other(event: RunEvent): void {
    switch (event.type) {
      case 'started':
        if (event.attempt !== undefined) {
          this.#speech.append(h('p', { class: 'note' }, `Attempt ${event.attempt}: the run begins anew.`));
          this.#voices.clear();
        }
        break;
      case 'interrupt':
        this.#heard();
        this.#ask(event);
        break;
      case 'complete':
        this.#complete(event.output, event.metadata);
        break;
      case 'error':
        this.#turn.append(problemCard(event.code, event.error, event.details));
        break;
      case 'cancelled':
        this.#turn.append(h('p', { class: 'note' }, `Cancelled: ${event.reason}`));
        break;
      case 'gap':
        this.#speech.append(h('p', { class: 'note' }, `Events ${event.from} to ${event.to} are kept no more.`));
        this.#voices.clear();
        break;
    }
  }

  #complete(output: unknown, metadata: Record<string, unknown>): void {
    this.#heard();
    const reply = this.replyOf(output);
    if (!this.#hasTokens && reply !== undefined) {
      const place = h('div', { class: 'prose' });
      new MarkdownStream(place, this.around).append(reply);
      this.#speech.append(place);
      this.said = reply;
    }
    const isShown = !this.#hasTokens && reply === undefined;
    if (isShown) {
      this.said = JSON.stringify(output);
    }
    const notes = [
      metadata['output_valid'] === false ? 'The output does not fit the schema.' : null,
      metadata['truncated'] === true ? 'The output was cut.' : null,
    ];
    this.#turn.append(
      h(
        'details',
        { class: 'output', open: isShown },
        h('summary', {}, 'Output'),
        h('div', { class: 'row spread' }, h('span'), copyButton('Copy', () => json(output))),
        h('pre', { class: 'code', tabindex: 0, 'aria-label': 'Output' }, h('code', {}, shown(output))),
      ),
    );
    add(this.#turn, ...notes.map((note) => note && h('p', { class: 'note warning' }, note)));
  }

  #ask(question: InterruptEvent): void {
    const { value } = question;
    const text = typeof value === 'string' ? value : isObject(value) ? value['question'] : undefined;
    const choices = isObject(value) ? [value['options'], value['choices']].find(Array.isArray) : undefined;
    const rest = typeof value === 'string' ? undefined : isObject(value) && typeof text === 'string' ? without(value) : value;
    const title = h('h3', { id: freshId('question') }, typeof text === 'string' ? text : 'The agent asks');
    const problem = h('p', { class: 'problem', role: 'alert', hidden: true });
    const input = h('textarea', { rows: 1, id: freshId('reply'), placeholder: 'Your answer' });
    const isJson = h('input', { type: 'checkbox', id: freshId('json') });
    const card = h('form', { class: 'question', 'aria-labelledby': title.id }, title);
    const send = async (reply: unknown): Promise<void> => {
      problem.hidden = true;
      card.classList.add('sending');
      try {
        const said = `Answered: ${typeof reply === 'string' ? reply : JSON.stringify(reply)}`;
        card.dataset['note'] = said;
        await this.answering.answer(question, reply);
        close(card, said);
      } catch (error) {
        delete card.dataset['note'];
        problem.textContent = error instanceof Error ? error.message : String(error);
        problem.hidden = false;
      } finally {
        card.classList.remove('sending');
      }
    };
    const submit = (event: Event): void => {
      event.preventDefault();
      try {
        void send(isJson.checked ? (JSON.parse(input.value) as unknown) : input.value);
      } catch {
        problem.textContent = 'This is not JSON.';
        problem.hidden = false;
      }
    };
    card.addEventListener('submit', submit);
    input.addEventListener('keydown', (event) => {
      if (event.key === 'Enter' && !event.shiftKey) {
        submit(event);
      }
    });
    add(
      card,
      rest === undefined || (isObject(rest) && Object.keys(rest).length === 0)
        ? null
        : h('pre', { class: 'code', tabindex: 0, 'aria-label': 'What the question is about' }, h('code', {}, shown(rest))),
      choices === undefined
        ? null
        : h(
            'div',
            { class: 'row' },
            ...choices.map((choice: unknown) =>
              h('button', { type: 'button', onclick: () => void send(choice) }, typeof choice === 'string' ? choice : JSON.stringify(choice)),
            ),
          ),
      h('label', { for: input.id, class: 'unseen' }, 'Your answer'),
      h('div', { class: 'row' }, input, h('button', { class: 'primary', type: 'submit' }, 'Answer')),
      h('div', { class: 'flag' }, isJson, h('label', { for: isJson.id }, 'Send it as JSON')),
      problem,
    );
    this.#cards.set(question.interrupt_id, card);
    this.#speech.append(card);
    // What is said from here on is said behind it.
    this.#voices.clear();
    if (this.answering.canAnswer) {
      input.focus();
    } else {
      close(card, '');
    }
  }
}

/** JSON to look at, of which more than anybody looks at is left out: a browser takes its time with long lines. */
export function shown(value: unknown): string {
  const text = json(value);
  const left = text.length - MAX_SHOWN_CHARACTERS;
  return left > 0 ? `${text.slice(0, MAX_SHOWN_CHARACTERS)}\n… and ${left.toLocaleString('en')} characters more` : text;
}

export function json(value: unknown): string {
  return JSON.stringify(value, null, 2) ?? 'null';
}

/** What a question holds beside its text and its answers. */
function without(value: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(value).filter(([name]) => !['question', 'options', 'choices'].includes(name)));
}

/** Leave the question, without a way to answer it. */
function close(card: HTMLElement, note: string): void {
  if (card.classList.contains('closed')) {
    return;
  }
  for (const control of card.querySelectorAll('.row, .flag, label, .problem')) {
    control.remove();
  }
  card.classList.add('closed');
  const said = card.dataset['note'] ?? note;
  add(card, said === '' ? null : h('p', { class: 'note' }, said));
}

function problemCard(code: string, message: string, details: unknown): HTMLElement {
  return h(
    'div',
    { class: 'failure', role: 'alert' },
    h('p', { class: 'code-name' }, code),
    h('p', {}, message),
    details === null || details === undefined
      ? null
      : h(
          'details',
          {},
          h('summary', {}, 'Details'),
          h('pre', { class: 'code', tabindex: 0, 'aria-label': 'Details' }, h('code', {}, shown(details))),
        ),
  );
}
