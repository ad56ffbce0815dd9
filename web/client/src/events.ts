// What happens in a run, as TypeScript tells it apart: `switch (event.type)` knows the fields of each.

interface Base<Type extends string> {
  /** `<run_id>:<sequence>`. */
  id: string;
  type: Type;
  run_id: string;
  /** 0, 1, 2 ... without a gap in what is sent. */
  sequence: number;
  /** ISO 8601, UTC. */
  timestamp: string;
}

export interface Metadata {
  agent: string;
  framework: string;
  run_id: string;
  latency_seconds?: number;
  /** There, and false, when the output does not fit the schema. */
  output_valid?: boolean;
  /** There, and true, when the output was cut. */
  truncated?: boolean;
  [key: string]: unknown;
}

export interface StartedEvent extends Base<'started'> {
  agent: string;
  agent_name: string;
  framework: string;
  /** From the second attempt on. */
  attempt?: number;
}

export interface TokenEvent extends Base<'token'> {
  content: string;
  finish_reason: string | null;
  node?: string;
  message_id?: string;
}

export interface StepEvent extends Base<'step'> {
  node_name: string;
  duration_ms: number | null;
  input_keys: string[] | null;
  output_keys: string[] | null;
}

export interface ProgressEvent extends Base<'progress'> {
  step: string;
  /** 0 to 1. */
  progress: number;
  message: string | null;
}

export interface CheckpointEvent extends Base<'checkpoint'> {
  name: string;
  data: unknown;
}

export interface ToolCallEvent extends Base<'tool_call'> {
  tool: string;
  call_id: string | null;
  arguments: unknown;
}

export interface ToolResultEvent extends Base<'tool_result'> {
  tool: string;
  call_id: string | null;
  output: unknown;
  duration_ms: number | null;
  error: string | null;
}

export interface PolicyEvent extends Base<'policy'> {
  rule: string;
  message: string;
  tool: string | null;
}

export interface CustomEvent extends Base<`custom:${string}`> {
  data: unknown;
}

/** The run waits for an answer: `client.runs.resume(event.run_id, answer)`. */
export interface InterruptEvent extends Base<'interrupt'> {
  interrupt_id: string;
  value: unknown;
}

export interface CompleteEvent<Output = unknown> extends Base<'complete'> {
  output: Output;
  latency_seconds: number;
  latency: number;
  metadata: Metadata;
}

export interface ErrorEvent extends Base<'error'> {
  error: string;
  code: string;
  details: unknown;
}

export interface CancelledEvent extends Base<'cancelled'> {
  reason: string;
}

/** The server keeps the events `from` to `to` no more: they are lost. It has no place in the run itself. */
export interface GapEvent {
  type: 'gap';
  run_id: string;
  timestamp: string;
  from: number;
  to: number;
}

export type TerminalEvent<Output = unknown> = CompleteEvent<Output> | ErrorEvent | CancelledEvent;

/** An event of a later server may have a `type` that is not here; it is given out as it came. */
export type RunEvent<Output = unknown> =
  | StartedEvent
  | TokenEvent
  | StepEvent
  | ProgressEvent
  | CheckpointEvent
  | ToolCallEvent
  | ToolResultEvent
  | PolicyEvent
  | CustomEvent
  | InterruptEvent
  | GapEvent
  | TerminalEvent<Output>;

/** Whether the run is over with this event. */
export function isTerminal<Output>(event: RunEvent<Output>): event is TerminalEvent<Output> {
  return event.type === 'complete' || event.type === 'error' || event.type === 'cancelled';
}
