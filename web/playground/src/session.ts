// One run at a time, as the page sees it: what happened when, and what can be done about it now.

import {
  type Client,
  ConnectionError,
  DockrionError,
  type EventStream,
  type InterruptEvent,
  isTerminal,
  type RunEvent,
} from 'dockrion-client';

export type Way = 'stream' | 'wait' | 'background';
export type Status = 'idle' | 'running' | 'reconnecting' | 'waiting' | 'complete' | 'failed' | 'cancelled' | 'left' | 'aside';

/** An event, and when it came: milliseconds after the run was asked for. */
export interface Moment {
  event: RunEvent;
  at: number;
}

export interface Order {
  way: Way;
  payload: unknown;
  threadId: string | undefined;
  /** What a person said, where the run is a turn of a conversation. */
  said?: string | undefined;
}

export interface Recording {
  runId: string | undefined;
  createdAt: string;
  status: Status;
  order: Order | undefined;
  moments: Moment[];
  error: DockrionError | undefined;
}

export interface Watcher {
  /** A run begins, or one is shown from its begin. */
  began: (recording: Recording) => void;
  /** At most once a frame. */
  happened: (moments: Moment[], recording: Recording) => void;
  changed: (recording: Recording, note: string) => void;
}

// Of one run; past it the oldest go.
const MAX_MOMENTS = 100_000;
const HIDDEN_MS = 250;
// So that a browser that had no time for a while catches up in steps, and answers clicks between them.
const MAX_A_FRAME = 500;

export class Session {
  recording: Recording = blank(undefined);
  readonly questions = new Map<string, InterruptEvent>();

  #stream: EventStream | undefined;
  #abort: AbortController | undefined;
  #pending: Moment[] = [];
  #isScheduled = false;
  #zero = 0;
  // Of a run from before this page: its events are as old as their timestamps say.
  #isPast = false;
  // What is shown again, from its begin to its end.
  #replayed: Recording | undefined;
  #isOver = false;
  #direct: Promise<void> | undefined;
  readonly #asked = new Set<string>();
  // What an earlier run may still say is not listened to.
  #turn = 0;

  constructor(
    private readonly connect: () => Client,
    private readonly watcher: Watcher,
  ) {}

  get isBusy(): boolean {
    return ['running', 'reconnecting', 'waiting'].includes(this.recording.status);
  }

  /** What the run shown did before it was shown, it does not wait for any more. */
  get hasHappened(): boolean {
    return this.#isPast || this.isReplay;
  }

  get isReplay(): boolean {
    return this.#replayed !== undefined;
  }

  /** Run the agent. */
  async start(order: Order): Promise<void> {
    const turn = this.#begin(blank(order));
    const { payload, threadId } = order;
    const client = this.connect();
    await this.#guard(turn, async () => {
      switch (order.way) {
        case 'stream':
          this.#direct = this.#follow(turn, client.stream(payload, { threadId, ...this.#told(turn) }));
          return this.#direct;
        case 'background': {
          const { run_id } = await client.runs.create(payload, { threadId, signal: this.#signal(), ...this.#told(turn) });
          if (turn === this.#turn) {
            this.recording.runId = run_id;
            return this.#follow(turn, client.runs.events(run_id, this.#told(turn)));
          }
          return undefined;
        }
        case 'wait':
          return this.#wait(turn, client, order);
      }
    });
  }

  /** Show a run that is kept, from its begin, and follow it if it goes on. */
  async open(runId: string): Promise<void> {
    const turn = this.#begin({ ...blank(undefined), runId });
    const client = this.connect();
    await this.#guard(turn, async () => {
      const run = await client.runs.get(runId, { signal: this.#signal() });
      if (turn === this.#turn) {
        this.recording.createdAt = run.created_at;
        this.#isPast = true;
        this.#zero = Date.parse(run.created_at);
        await this.#follow(turn, client.runs.events(runId, this.#told(turn)));
      }
    });
  }

  /** Show what was recorded: at once, or at the pace it had. */
  async show(recording: Recording, pace: 'at once' | 'as it was'): Promise<void> {
    const { moments, status, ...facts } = recording;
    const turn = this.#begin({ ...facts, status: 'running', moments: [] });
    this.#replayed = recording;
    const began = performance.now();
    let next = 0;
    while (turn === this.#turn && next < moments.length) {
      const until = pace === 'at once' ? Infinity : performance.now() - began;
      while (next < moments.length && (moments[next]?.at ?? 0) <= until) {
        this.#pending.push(moments[next] as Moment);
        next += 1;
      }
      this.#schedule();
      if (next < moments.length) {
        await new Promise((resolve) => setTimeout(resolve, 16));
      }
    }
    await this.#catchUp(turn);
    if (turn === this.#turn) {
      // It is over, whatever it waited for when it was recorded.
      this.#settle(turn, status === 'running' || status === 'reconnecting' ? 'left' : status, facts.error);
    }
  }

  /** End the run, where that can be done from here. */
  async stop(): Promise<void> {
    const stream = this.#stream;
    const { runId } = this.recording;
    if (this.#replayed !== undefined) {
      await this.show(this.#replayed, 'at once');
    } else if (this.recording.status === 'waiting' && runId !== undefined) {
      await this.connect().runs.cancel(runId, { reason: STOPPED });
      if (stream === undefined) {
        this.#settle(this.#turn, 'cancelled', undefined);
      }
    } else if (stream !== undefined) {
      try {
        await stream.cancel(STOPPED);
      } catch (error) {
        if (!(error instanceof ConnectionError)) {
          throw error;
        }
        // There is nobody to ask.
        this.leave();
        this.#settle(this.#turn, 'left', undefined);
      }
    } else {
      this.#abort?.abort();
      this.#turn += 1;
      this.#settle(this.#turn, 'left', undefined);
    }
  }

  /** Whether the run goes on without being looked at. */
  get canBeLeft(): boolean {
    return this.isBusy && !this.isReplay && this.recording.runId !== undefined && this.recording.order?.way !== 'stream' && this.#stream !== undefined;
  }

  /** Look at it no more; it goes on. */
  putAside(): void {
    this.leave();
    this.#settle(this.#turn, 'aside', undefined);
  }

  /** Leave a run to itself. */
  leave(): void {
    this.#turn += 1;
    this.#stream?.close();
    this.#abort?.abort();
    this.#stream = undefined;
    // What has come but was not shown would make it a run that goes on here.
    this.#pending = [];
  }

  /** Answer a question of the run, which goes on then. */
  async answer(question: InterruptEvent, answer: unknown): Promise<void> {
    const runId = question.run_id;
    const turn = this.#turn;
    const client = this.connect();
    const { interrupts = [] } = await client.runs.get(runId);
    const isOne = interrupts.length <= 1;
    await client.runs.resume(runId, isOne ? answer : { [question.interrupt_id]: answer });
    this.questions.delete(question.interrupt_id);
    // It is over at its questions; who is quick may answer before that is seen.
    await this.#direct?.catch(() => undefined);
    // A subscription has seen all of it already, maybe to the end.
    if (this.#stream === undefined && turn === this.#turn && !this.#isOver) {
      const { lastEventId } = this;
      void this.#guard(turn, () => this.#follow(turn, client.runs.events(runId, { lastEventId, ...this.#told(turn) })));
    }
  }

  get lastEventId(): string | undefined {
    const last = this.recording.moments.findLast(({ event }) => 'id' in event && event.id !== '');
    return last !== undefined && 'id' in last.event ? last.event.id : undefined;
  }

  #begin(recording: Recording): number {
    this.leave();
    this.#abort = new AbortController();
    this.#direct = undefined;
    this.#pending = [];
    this.questions.clear();
    this.#asked.clear();
    this.#isPast = this.#isOver = false;
    this.#replayed = undefined;
    this.#zero = performance.now();
    this.recording = { ...recording, status: 'running' };
    this.watcher.began(this.recording);
    this.watcher.changed(this.recording, '');
    return this.#turn;
  }

  async #follow(turn: number, stream: EventStream): Promise<void> {
    this.#stream = stream;
    if (this.questions.size > 0) {
      this.#setStatus('waiting', 'The agent asks more.');
    } else if (this.recording.runId !== undefined) {
      this.#setStatus('running', '');
    }
    for await (const event of stream) {
      if (turn !== this.#turn) {
        stream.close();
        return;
      }
      if (this.recording.runId === undefined && stream.runId !== undefined) {
        this.recording.runId = stream.runId;
        this.#setStatus('running', '');
      }
      this.#isOver ||= isTerminal(event);
      // What was asked on `/invoke` stands in the events of its run, too.
      if (event.type !== 'interrupt' || !this.#asked.has(event.interrupt_id)) {
        this.#pending.push({ event, at: this.#age(event) });
        this.#schedule();
      }
    }
    if (turn !== this.#turn) {
      return;
    }
    this.#stream = undefined;
    await this.#catchUp(turn);
    if (turn === this.#turn && (this.recording.status === 'running' || this.recording.status === 'reconnecting')) {
      this.#settle(turn, 'left', undefined);
    }
  }

  async #wait(turn: number, client: Client, { payload, threadId }: Order): Promise<void> {
    const answer = await client.invoke(payload, { threadId, signal: this.#signal(), ...this.#told(turn) });
    if (turn !== this.#turn) {
      return;
    }
    this.recording.runId = answer.runId;
    // What a stream would have said of it; it has no place in one.
    const place = { id: '', run_id: answer.runId, sequence: 0, timestamp: new Date().toISOString() };
    const latency = answer.metadata.latency_seconds ?? 0;
    const events: RunEvent[] =
      answer.status === 'COMPLETED'
        ? [{ ...place, type: 'complete', output: answer.output, latency, latency_seconds: latency, metadata: answer.metadata }]
        : answer.interrupts.map((one) => ({ ...place, type: 'interrupt', ...one }));
    const at = performance.now() - this.#zero;
    this.#pending.push(...events.map((event) => ({ event, at })));
    await this.#catchUp(turn);
  }

  async #guard(turn: number, action: () => Promise<void>): Promise<void> {
    try {
      await action();
    } catch (error) {
      if (turn !== this.#turn) {
        return;
      }
      this.#stream = undefined;
      await this.#catchUp(turn);
      const known = error instanceof DockrionError ? error : new ConnectionError(String(error), { cause: error });
      this.#settle(turn, 'failed', known);
    }
  }

  #told(turn: number) {
    return {
      onReconnect: ({ attempt, delayMs, cause }: { attempt: number; delayMs: number; cause: DockrionError }) => {
        if (turn === this.#turn) {
          const why = cause instanceof ConnectionError ? 'The connection is lost' : cause.message.replace(/\.$/, '');
          this.#setStatus('reconnecting', `${why}. Try ${attempt} in ${(delayMs / 1000).toFixed(1)} s.`);
        }
      },
    };
  }

  #signal(): AbortSignal | undefined {
    return this.#abort?.signal;
  }

  #age(event: RunEvent): number {
    return Math.max(0, this.#isPast ? Date.parse(event.timestamp) - this.#zero : performance.now() - this.#zero);
  }

  #schedule(): void {
    if (this.#isScheduled) {
      return;
    }
    this.#isScheduled = true;
    const flush = (): void => {
      this.#isScheduled = false;
      this.#flush();
    };
    // A page that nobody sees has no frames.
    document.hidden ? setTimeout(flush, HIDDEN_MS) : requestAnimationFrame(flush);
  }

  /** Show all that has come, in steps that leave the browser time for others. */
  async #catchUp(turn: number): Promise<void> {
    while (turn === this.#turn && this.#pending.length > 0) {
      this.#flush();
      await new Promise((resolve) => setTimeout(resolve));
    }
  }

  #flush(): void {
    const news = this.#pending.splice(0, MAX_A_FRAME);
    if (news.length === 0) {
      return;
    }
    if (this.#pending.length > 0) {
      this.#schedule();
    }
    const { recording } = this;
    const { moments } = recording;
    for (const moment of news) {
      moments.push(moment);
      if (moment.event.type === 'interrupt') {
        this.questions.set(moment.event.interrupt_id, moment.event);
        this.#asked.add(moment.event.interrupt_id);
      } else if (this.hasHappened) {
        // It was answered: the run went on.
        this.questions.clear();
      }
    }
    if (moments.length > MAX_MOMENTS) {
      moments.splice(0, moments.length - MAX_MOMENTS);
    }
    this.watcher.happened(news, recording);
    const last = news[news.length - 1]?.event;
    if (last !== undefined && isTerminal(last)) {
      const ends = { complete: 'complete', error: 'failed', cancelled: 'cancelled' } as const;
      this.#settle(this.#turn, ends[last.type], undefined);
    } else if (last?.type === 'interrupt') {
      this.#setStatus('waiting', 'The agent asks.');
    } else if (recording.status !== 'running') {
      this.#setStatus('running', '');
    }
  }

  #settle(turn: number, status: Status, error: DockrionError | undefined): void {
    if (turn === this.#turn) {
      this.recording.error = error;
      this.#setStatus(status, '');
    }
  }

  #setStatus(status: Status, note: string): void {
    this.recording.status = status;
    this.watcher.changed(this.recording, note);
  }
}

const STOPPED = 'Stopped in the playground.';

function blank(order: Order | undefined): Recording {
  const createdAt = new Date().toISOString();
  return { runId: undefined, createdAt, status: 'idle', order, moments: [], error: undefined };
}
