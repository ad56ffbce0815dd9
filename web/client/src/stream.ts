// The events of one run, read over as many connections as it takes.

import { pause, pauseMs } from './backoff.js';
import {
  ConnectionError,
  DockrionError,
  errorFor,
  RunCancelledError,
  RunInterruptedError,
  UnexpectedAnswerError,
} from './errors.js';
import { type InterruptEvent, isTerminal, type RunEvent } from './events.js';
import { type Frame, FrameReader } from './sse.js';
import { isPassing, type Reconnecting, type Transport, waitOf } from './transport.js';

export interface StreamOptions {
  /** Ends the stream: iterating throws the signal's reason. */
  signal?: AbortSignal | undefined;
  onReconnect?: ((reconnecting: Reconnecting) => void) | undefined;
  /**
   * A connection that brings not one byte for so long counts as broken. Servers send a heartbeat at least every 300
   * seconds, every 15 unless they are told otherwise; 0 waits for ever.
   */
  idleTimeoutMs?: number | undefined;
}

/** Where the events come from. */
export interface Source {
  /** Open the stream behind the event `lastEventId`, or at its begin. 204: there is nothing more. */
  open(lastEventId: string | undefined, runId: string | undefined, signal: AbortSignal): Promise<Response>;
  /** Whether a failure of `open` before the first answer may be tried again. */
  mayOpenAgain(error: DockrionError): boolean;
  /** Whether the run waits for answers, and to no other questions than these. */
  waitsFor(runId: string, seen: ReadonlySet<string>, signal: AbortSignal): Promise<boolean>;
  cancel(runId: string, reason: string | undefined): Promise<void>;
  /** A direct stream is over when the run waits for answers; a subscription stays. */
  readonly isDirect: boolean;
}

const IDLE_TIMEOUT_MS = 330_000;
const DRAIN_MS = 1000;
// What belongs to one connection, and is nothing that happens in a run.
const UNTOLD = new Set(['heartbeat', 'timeout']);

type Wire = { type: string; sequence?: number; run_id?: string; from?: number; to?: number };

/**
 * Iterate it once, to the end or not: leaving the loop closes the connection, and a run of `stream()` then ends or goes
 * on as its server is told to (`streaming.connection.on_disconnect`).
 */
export class EventStream<Output = unknown> implements AsyncIterable<RunEvent<Output>> {
  /** Known when the server has answered. */
  runId: string | undefined;
  /** Of the event that was given out last: with it a later stream goes on. */
  lastEventId: string | undefined;
  /** The questions of the run that were given out since it last went on. */
  readonly interrupts: InterruptEvent[] = [];

  readonly #transport: Transport;
  readonly #source: Source;
  readonly #options: StreamOptions;
  readonly #stop = new AbortController();
  #isClosed = false;
  #isRead = false;
  #hasAnswered = false;
  #lastSequence: number;
  #gapEnd = -1;
  #failures = 0;
  #isCut = false;
  #retryMs = 0;

  constructor(
    transport: Transport,
    source: Source,
    options: StreamOptions,
    start: { runId?: string | undefined; lastEventId?: string | undefined; before?: number } = {},
  ) {
    this.#transport = transport;
    this.#source = source;
    this.#options = options;
    this.runId = start.runId;
    this.lastEventId = start.lastEventId;
    this.#lastSequence = start.before ?? -1;
  }

  /** Close the connection; the loop that reads the stream ends without an error. */
  close(): void {
    this.#isClosed = true;
    this.#stop.abort();
  }

  /** End the run; its stream ends with `cancelled`. Where the server keeps no record of it, leaving is what ends it. */
  async cancel(reason?: string): Promise<void> {
    const { runId } = this;
    if (runId === undefined) {
      this.close();
      return;
    }
    try {
      await this.#source.cancel(runId, reason);
    } catch (error) {
      if (!this.#source.isDirect || !(error instanceof DockrionError) || error.status !== 404) {
        throw error;
      }
      this.close();
    }
  }

  /** Read to the end and return the output; throw what the run ended with when that is something else. */
  async output(): Promise<Output> {
    for await (const event of this) {
      switch (event.type) {
        case 'complete':
          return event.output;
        case 'error':
          throw errorFor(event.code, event.error, { details: event.details, runId: event.run_id });
        case 'cancelled':
          throw new RunCancelledError(event.reason, { code: 'CANCELLED', runId: event.run_id });
      }
    }
    const { runId } = this;
    if (this.interrupts.length > 0) {
      throw new RunInterruptedError('The run waits for an answer.', this.interrupts, { runId });
    }
    throw new ConnectionError('The stream was closed before the run was over.', { runId });
  }

  [Symbol.asyncIterator](): AsyncGenerator<RunEvent<Output>, void, undefined> {
    if (this.#isRead) {
      throw new TypeError('A stream of events is read once.');
    }
    this.#isRead = true;
    return this.#events();
  }

  async *#events(): AsyncGenerator<RunEvent<Output>, void, undefined> {
    const forget = this.#obeySignal();
    try {
      let connection: Connection | undefined;
      while ((connection = await this.#connect()) !== undefined) {
        let hasTimedOut = false;
        try {
          for (let frames = await connection.next(); frames !== undefined; frames = await connection.next()) {
            for (const frame of frames) {
              const event = read(frame);
              this.#failures = 0;
              this.runId ??= event.run_id;
              const told = this.#told(event, frame.id);
              if (told === undefined) {
                hasTimedOut ||= event.type === 'timeout';
                continue;
              }
              const isOver = isTerminal(told);
              if (isOver) {
                connection.drain();
              }
              yield told;
              if (isOver) {
                return;
              }
            }
          }
        } finally {
          this.#retryMs = connection.retryMs ?? this.#retryMs;
          connection.close();
        }
        this.#isCut = connection.failure !== undefined;
        if (!this.#isCut && this.#source.isDirect && this.interrupts.length > 0) {
          return;
        }
        if (!hasTimedOut) {
          await this.#pauseAfter(connection.failure ?? new ConnectionError('The connection ended before the run.'));
        }
      }
    } catch (error) {
      const { signal } = this.#options;
      if (!this.#isClosed) {
        throw signal?.aborted ? signal.reason : error;
      }
    } finally {
      forget();
    }
  }

  /** Open the next connection, in however many tries; `undefined` when there is nothing more to come. */
  async #connect(): Promise<Connection | undefined> {
    const { signal } = this.#stop;
    for (;;) {
      signal.throwIfAborted();
      try {
        if (this.#isCut && (await this.#isAtQuestions(signal))) {
          return undefined;
        }
        const response = await this.#source.open(this.lastEventId, this.runId, signal);
        this.#hasAnswered = true;
        this.runId = response.headers.get('X-Run-ID') ?? this.runId;
        return response.status === 204 ? undefined : new Connection(response, signal, this.#options.idleTimeoutMs);
      } catch (error) {
        signal.throwIfAborted();
        const mayTryAgain = this.#hasAnswered ? isPassing : this.#source.mayOpenAgain.bind(this.#source);
        if (!(error instanceof DockrionError) || !mayTryAgain(error)) {
          throw error;
        }
        await this.#pauseAfter(error);
      }
    }
  }

  /** Wait before the next try; throw when that would be one too many. */
  async #pauseAfter(cause: DockrionError): Promise<void> {
    const { reconnect } = this.#transport.options;
    const failures = (this.#failures += 1);
    const atLeastMs = waitOf(cause, reconnect);
    if (atLeastMs === undefined) {
      throw cause;
    }
    if (failures > reconnect.attempts) {
      throw new ConnectionError(
        `The stream broke, and did not come back in ${reconnect.attempts} tries: ${cause.message}`,
        { cause, runId: this.runId },
      );
    }
    // The first try comes soon: most connections break alone.
    const askedMs = Math.min(failures > 1 ? this.#retryMs : 0, reconnect.longestRetryAfterSeconds * 1000);
    const delayMs = pauseMs(reconnect, failures, Math.max(atLeastMs, askedMs));
    this.#options.onReconnect?.({ attempt: failures, delayMs, cause });
    await pause(delayMs, this.#stop.signal);
  }

  #obeySignal(): () => void {
    const { signal } = this.#options;
    const abort = (): void => this.#stop.abort(signal?.reason);
    if (signal?.aborted) {
      abort();
    }
    signal?.addEventListener('abort', abort, { once: true });
    return () => signal?.removeEventListener('abort', abort);
  }

  /** Return the event if it is news about the run, and take note of it. */
  #told(event: Wire, id: string | undefined): RunEvent<Output> | undefined {
    if (UNTOLD.has(event.type)) {
      return undefined;
    }
    if (event.type === 'gap') {
      const from = Math.max(event.from ?? 0, this.#gapEnd + 1, this.#lastSequence + 1);
      const to = event.to ?? from;
      if (to < from) {
        return undefined;
      }
      this.#gapEnd = to;
      return { ...event, from, to } as RunEvent<Output>;
    }
    if (event.sequence !== undefined) {
      if (event.sequence <= this.#lastSequence) {
        return undefined;
      }
      this.#lastSequence = event.sequence;
    }
    this.lastEventId = id || this.lastEventId;
    if (event.type === 'interrupt') {
      this.interrupts.push(event as unknown as InterruptEvent);
    } else {
      this.interrupts.length = 0;
    }
    return event as RunEvent<Output>;
  }

  /** Whether a direct stream that broke behind a question had come to its end: nothing would tell it so again. */
  async #isAtQuestions(signal: AbortSignal): Promise<boolean> {
    const { runId, interrupts } = this;
    if (!this.#source.isDirect || interrupts.length === 0 || runId === undefined) {
      return false;
    }
    const seen = new Set(interrupts.map((one) => one.interrupt_id));
    return this.#source.waitsFor(runId, seen, signal);
  }
}

/** One connection: its frames, and what it broke with, if it did. */
class Connection {
  failure: ConnectionError | undefined;
  readonly #body: ReadableStreamDefaultReader<Uint8Array> | undefined;
  readonly #reader = new FrameReader();
  readonly #signal: AbortSignal;
  readonly #idleMs: number;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #waitsSince = 0;
  #isDrained = false;

  constructor(response: Response, signal: AbortSignal, idleMs: number | undefined) {
    const type = response.headers.get('Content-Type') ?? '';
    if (!type.startsWith('text/event-stream')) {
      void response.body?.cancel().catch(() => {});
      throw new UnexpectedAnswerError(`The answer is no stream of events, but ${type || 'without a type'}.`, {
        status: response.status,
      });
    }
    this.#body = response.body?.getReader();
    this.#signal = signal;
    this.#idleMs = idleMs ?? IDLE_TIMEOUT_MS;
  }

  get retryMs(): number | undefined {
    return this.#reader.retryMs;
  }

  /** Return the frames that came next; `undefined` at the end, whatever it was. Throws only the reason of the signal. */
  async next(): Promise<Frame[] | undefined> {
    let chunk: ReadableStreamReadResult<Uint8Array> | undefined;
    try {
      chunk = await this.#chunk();
    } catch (cause) {
      this.#signal.throwIfAborted();
      this.failure ??= new ConnectionError('The connection broke.', { cause });
      return undefined;
    }
    return chunk === undefined || chunk.done ? undefined : this.#reader.feed(chunk.value);
  }

  /** Take what little is left, beside what the caller does: a connection that is read to its end can be used again. */
  drain(): void {
    const body = this.#body;
    if (body === undefined) {
      return;
    }
    this.#isDrained = true;
    const timer = setTimeout(() => void body.cancel().catch(() => {}), DRAIN_MS);
    const rest = async (): Promise<void> => {
      while (!(await body.read()).done);
    };
    void rest()
      .catch(() => {})
      .finally(() => clearTimeout(timer));
  }

  close(): void {
    clearTimeout(this.#timer);
    if (!this.#isDrained) {
      void this.#body?.cancel().catch(() => {});
    }
  }

  async #chunk(): Promise<ReadableStreamReadResult<Uint8Array> | undefined> {
    const body = this.#body;
    if (body === undefined || this.#idleMs === 0) {
      return body?.read();
    }
    this.#waitsSince = performance.now();
    this.#timer ??= setTimeout(() => this.#ring(body), this.#idleMs);
    return body.read();
  }

  /** One timer, looked at when it rings: setting it anew for each piece costs more than reading the piece. */
  #ring(body: ReadableStreamDefaultReader<Uint8Array>): void {
    const leftMs = this.#waitsSince + this.#idleMs - performance.now();
    if (leftMs > 0) {
      this.#timer = setTimeout(() => this.#ring(body), leftMs);
      return;
    }
    this.failure = new ConnectionError(`Nothing came for ${this.#idleMs / 1000} seconds.`);
    void body.cancel().catch(() => {});
  }
}

function read(frame: Frame): Wire {
  try {
    const event = JSON.parse(frame.data) as unknown;
    if (typeof event === 'object' && event !== null && 'type' in event) {
      return event as Wire;
    }
  } catch {
    // Told below.
  }
  throw new UnexpectedAnswerError(
    `The stream holds an event that is none of dockrion's: ${frame.data.slice(0, 200)}`,
  );
}
