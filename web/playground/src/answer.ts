// What the agent says: tokens as they come, its output, its questions, how it ended.

import type { InterruptEvent, RunEvent } from 'dockrion-client';

import { add, copyButton, h, json, shown } from './dom.js';
import { MarkdownStream } from './markdown.js';
import { closeQuestion, questionCard } from './question.js';
import type { Moment, Recording, Status } from './session.js';

export interface Answering {
  answer: (question: InterruptEvent, value: unknown) => Promise<void>;
  readonly isReplay: boolean;
  /** The run went on long ago: whatever comes behind a question says that it was answered. */
  readonly hasHappened: boolean;
}

// What waits for an answer; an offer is one click, and anything else is written.
const FIRST = 'textarea';

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
  // Since the run began: whoever writes something is not taken away from it.
  #isWriting = false;
  #thinking: HTMLElement | undefined;

  /** `around` calls each write that comes later than what it is of. */
  constructor(
    private readonly answering: Answering,
    private readonly replyOf: ReplyOf,
    private readonly around: (write: () => void) => void,
  ) {
    document.addEventListener('input', () => (this.#isWriting = true));
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
    this.#hasTokens = this.#isWriting = false;
    this.said = '';
    this.#speech = h('div', { class: 'speech', 'aria-busy': 'true' });
    this.#turn = h('div', { class: 'turn' });
    add(this.#turn, said === undefined ? null : h('p', { class: 'said', dir: 'auto' }, said), this.#speech);
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
          closeQuestion(card, 'Answered.');
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
      closeQuestion(card, !this.answering.isReplay && status !== 'aside' ? 'It cannot be answered any more.' : '');
    }
    this.#cards.clear();
    const { error } = recording;
    if (error !== undefined) {
      const isSaid = error.retryAfterSeconds === undefined || error.message.includes('again in');
      const later = isSaid ? '' : ` Try again in ${error.retryAfterSeconds} s.`;
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
    const { said } = this;
    add(
      this.#turn,
      isShown ? null : h('div', { class: 'after' }, copyButton('Copy answer', () => said)),
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
    const card = questionCard(question, {
      send: (reply) => this.answering.answer(question, reply),
      next: () => this.element.querySelector<HTMLElement>(`.question:not(.closed, .sending) ${FIRST}`) ?? undefined,
    });
    this.#cards.set(question.interrupt_id, card);
    this.#speech.append(card);
    // What is said from here on is said behind it.
    this.#voices.clear();
    if (this.answering.isReplay) {
      closeQuestion(card, '');
    } else if (this.#mayTakeFocus()) {
      card.querySelector<HTMLElement>(FIRST)?.focus();
    }
  }

  /** Of several questions the first has the focus. */
  #mayTakeFocus(): boolean {
    const focused = document.activeElement;
    return !focused?.closest('.question:not(.closed)') && (!this.#isWriting || focused === document.body || this.element.contains(focused));
  }
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
