// The two ways to the events of a run: the POST that starts it, and the subscription to one that is kept.

import { ConflictError, ConnectionError, type DockrionError, GoneError, NotFoundError } from './errors.js';
import type { Runs } from './runs.js';
import type { Source } from './stream.js';
import { isPassing, isRefusedForNow, type Transport } from './transport.js';

export interface Start {
  payload: unknown;
  runId: string | undefined;
  threadId: string | undefined;
}

/**
 * `POST /invoke/stream`, which is sent again with `Last-Event-ID`: that never starts a second run.
 *
 * Before there is an event to go on from, only a run whose id was chosen here can be found again after a lost request.
 */
export class DirectSource implements Source {
  readonly isDirect = true;
  #isSent = false;

  constructor(
    private readonly transport: Transport,
    private readonly runs: Runs,
    private readonly start: Start,
  ) {}

  async open(lastEventId: string | undefined, runId: string | undefined, signal: AbortSignal): Promise<Response> {
    const { payload, threadId } = this.start;
    const resumed = lastEventId === undefined ? {} : { 'Last-Event-ID': lastEventId };
    if (lastEventId === undefined && runId !== undefined && runId !== this.start.runId) {
      return this.#follow(runId, signal);
    }
    const isRepeated = this.#isSent;
    this.#isSent = true;
    const request = {
      method: 'POST',
      path: '/invoke/stream',
      query: lastEventId === undefined ? { run_id: this.start.runId, thread_id: threadId } : {},
      headers: { Accept: 'text/event-stream', ...resumed },
      payload,
      signal,
    };
    try {
      return await this.transport.send(request);
    } catch (error) {
      // It had arrived, then, and only its answer was lost.
      if (error instanceof ConflictError && isRepeated && lastEventId === undefined && runId !== undefined) {
        return this.#follow(runId, signal, error);
      }
      throw error;
    }
  }

  mayOpenAgain(error: DockrionError): boolean {
    if (error instanceof ConnectionError) {
      return this.start.runId !== undefined;
    }
    return this.start.runId === undefined ? isRefusedForNow(error) : isPassing(error);
  }

  async waitsFor(runId: string, seen: ReadonlySet<string>, signal: AbortSignal): Promise<boolean> {
    try {
      const run = await this.runs.get(runId, { signal });
      return run.status === 'INTERRUPTED' && (run.interrupts ?? []).every((one) => seen.has(one.interrupt_id));
    } catch (error) {
      if (error instanceof NotFoundError) {
        return true;
      }
      throw error;
    }
  }

  async cancel(runId: string, reason: string | undefined): Promise<void> {
    await this.runs.cancel(runId, { reason });
  }

  /** No event has come, so there is none to go on from: read a run that is held from its begin. */
  async #follow(runId: string, signal: AbortSignal, conflict?: ConflictError): Promise<Response> {
    try {
      return await this.transport.send(eventsCall(runId, { signal, fromSequence: 0 }));
    } catch (error) {
      if (error instanceof NotFoundError) {
        throw (
          conflict ??
          new GoneError(`The connection broke before the first event, and the run ${runId} is not held.`, {
            code: 'GONE',
            runId,
            cause: error,
          })
        );
      }
      throw error;
    }
  }
}

/** `GET /runs/{run_id}/events`. */
export class RunSource implements Source {
  readonly isDirect = false;

  constructor(
    private readonly transport: Transport,
    private readonly runs: Runs,
    private readonly runId: string,
    private readonly fromSequence: number | undefined,
  ) {}

  open(lastEventId: string | undefined, _runId: string | undefined, signal: AbortSignal): Promise<Response> {
    const { runId, fromSequence } = this;
    return this.transport.send(eventsCall(runId, { signal, lastEventId, fromSequence }));
  }

  mayOpenAgain(error: DockrionError): boolean {
    return isPassing(error);
  }

  waitsFor(): Promise<boolean> {
    return Promise.resolve(false);
  }

  async cancel(runId: string, reason: string | undefined): Promise<void> {
    await this.runs.cancel(runId, { reason });
  }
}

interface EventsCall {
  signal: AbortSignal;
  lastEventId?: string | undefined;
  fromSequence?: number | undefined;
}

function eventsCall(runId: string, { signal, lastEventId, fromSequence }: EventsCall) {
  return {
    method: 'GET',
    path: `/runs/${encodeURIComponent(runId)}/events`,
    query: lastEventId === undefined ? { from_sequence: fromSequence } : {},
    headers: { Accept: 'text/event-stream', 'Last-Event-ID': lastEventId },
    signal,
  };
}
