// `/runs`: runs that are started, looked at, followed, answered and cancelled on any connection.

import type { InterruptEvent, Metadata } from './events.js';
import { RunSource } from './sources.js';
import { EventStream, type StreamOptions } from './stream.js';
import type { Reconnecting, Transport } from './transport.js';

export type RunStatus = 'ACCEPTED' | 'RUNNING' | 'INTERRUPTED' | 'COMPLETED' | 'FAILED' | 'CANCELLED';

/** A run as the server tells it; what has not happened yet is null. */
export interface Run<Output = unknown> {
  run_id: string;
  status: RunStatus;
  created_at: string;
  started_at: string | null;
  finished_at: string | null;
  /** Of a completed run. */
  output?: Output;
  /** Of a failed run. */
  error?: { code: string; message: string; details: unknown };
  /** Of a run that waits for answers. */
  interrupts?: Pick<InterruptEvent, 'interrupt_id' | 'value'>[];
  metadata: Metadata;
}

export interface AcceptedRun {
  run_id: string;
  status: RunStatus;
  events_url: string;
  created_at: string;
}

export interface RunPage<Output = unknown> {
  /** The newest first. */
  runs: Run<Output>[];
  /** Null on the last page. */
  next_cursor: string | null;
}

export interface CallOptions {
  signal?: AbortSignal | undefined;
}

export interface StartOptions extends CallOptions {
  /** Called before the request is sent again, where it may be. */
  onReconnect?: ((reconnecting: Reconnecting) => void) | undefined;
  /** An id of your own; the server may not allow it. */
  runId?: string | undefined;
  /** The conversation that the run belongs to. */
  threadId?: string | undefined;
}

export interface CreateOptions extends StartOptions {
  /** The same key is the same run. Without one the client makes one, so that a lost request is sent again. */
  idempotencyKey?: string | undefined;
}

export interface ListOptions extends CallOptions {
  /** 1 to 100; 20 where nothing is said. */
  limit?: number | undefined;
  cursor?: string | undefined;
  status?: RunStatus | undefined;
}

export interface FollowOptions extends StreamOptions {
  /** The first event that is wanted; all where nothing is said. */
  fromSequence?: number | undefined;
  /** Go on behind this event. */
  lastEventId?: string | undefined;
}

export interface EventSourceOptions extends CallOptions {
  /** The first event that is wanted; all where nothing is said. */
  fromSequence?: number | undefined;
}

export class Runs {
  constructor(private readonly transport: Transport) {}

  /** Start a run and return at once. */
  async create(payload: unknown, options: CreateOptions = {}): Promise<AcceptedRun> {
    const call = {
      method: 'POST',
      path: '/runs',
      query: { run_id: options.runId, thread_id: options.threadId },
      headers: { 'Idempotency-Key': options.idempotencyKey ?? freshKey() },
      payload,
      signal: signalOf(options),
      onReconnect: options.onReconnect,
    };
    return (await this.transport.json<AcceptedRun>(call, true)).body;
  }

  async get<Output = unknown>(runId: string, options: CallOptions = {}): Promise<Run<Output>> {
    const call = { method: 'GET', path: pathOf(runId), signal: signalOf(options) };
    return (await this.transport.json<Run<Output>>(call, true)).body;
  }

  /** One page of the caller's runs. */
  async list<Output = unknown>(options: ListOptions = {}): Promise<RunPage<Output>> {
    const { limit, cursor, status } = options;
    const call = { method: 'GET', path: '/runs', query: { limit, cursor, status }, signal: signalOf(options) };
    return (await this.transport.json<RunPage<Output>>(call, true)).body;
  }

  /** The events of a run, stored and live, to its end; also through its questions. Leaving does not end the run. */
  events<Output = unknown>(runId: string, options: FollowOptions = {}): EventStream<Output> {
    const { lastEventId, fromSequence } = options;
    const source = new RunSource(this.transport, this, runId, fromSequence);
    return new EventStream<Output>(this.transport, source, options, { runId, lastEventId });
  }

  /**
   * Return the address of a run's events for a browser's own `EventSource`, which comes back by itself but sends no
   * headers. With credentials there is a ticket in it, good for one connection within a minute; the server answers that
   * with a cookie for this run, which the reconnects of a page of the same site carry.
   */
  async eventSourceUrl(runId: string, options: EventSourceOptions = {}): Promise<string> {
    const path = `${pathOf(runId)}/events`;
    const { fromSequence } = options;
    const ticket = this.transport.hasSecret
      ? (await this.transport.ticket(path, signalOf(options))).ticket
      : undefined;
    return this.transport.urlOf({ path, query: { from_sequence: fromSequence, ticket } });
  }

  /** End a run: `ConflictError` when it has ended already. */
  async cancel(runId: string, options: CallOptions & { reason?: string | undefined } = {}): Promise<void> {
    const query = { reason: options.reason };
    await this.transport.json({ method: 'DELETE', path: pathOf(runId), query, signal: signalOf(options) }, false);
  }

  /**
   * Answer the question that a run waits with; several at once with `{[interrupt_id]: answer}`. The run goes on with the
   * next sequence.
   */
  async resume(runId: string, answer: unknown, options: CallOptions = {}): Promise<AcceptedRun> {
    const call = {
      method: 'POST',
      path: `${pathOf(runId)}/resume`,
      payload: answer ?? null,
      signal: signalOf(options),
    };
    return (await this.transport.json<AcceptedRun>(call, false)).body;
  }
}

export function signalOf(options: CallOptions): AbortSignal {
  return options.signal ?? new AbortController().signal;
}

function pathOf(runId: string): string {
  return `/runs/${encodeURIComponent(runId)}`;
}

// `crypto.randomUUID` is not there on pages that came over plain HTTP.
function freshKey(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}
