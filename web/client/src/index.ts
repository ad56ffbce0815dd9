// What the package gives.

export type { ReconnectOptions } from './backoff.js';
export { Client, type ClientOptions, type Invoked, type InvokeStreamOptions, type Ticket } from './client.js';
export {
  AgentError,
  AuthError,
  ConflictError,
  ConnectionError,
  DockrionError,
  GoneError,
  NotFoundError,
  PermissionDeniedError,
  PolicyViolationError,
  RateLimitError,
  RunCancelledError,
  RunInterruptedError,
  RunTimeoutError,
  ServiceUnavailableError,
  UnexpectedAnswerError,
  ValidationError,
} from './errors.js';
export * from './events.js';
export type {
  AcceptedRun,
  CallOptions,
  CreateOptions,
  EventSourceOptions,
  FollowOptions,
  ListOptions,
  Run,
  RunPage,
  Runs,
  RunStatus,
  StartOptions,
} from './runs.js';
export { type Frame, FrameReader } from './sse.js';
export type { EventStream, StreamOptions } from './stream.js';
export type { Reconnecting, Secret } from './transport.js';
