// What calls throw: one class for each kind of failure. `code` is for programs and never changes.
//
//     DockrionError
//     ├── ValidationError         the payload, or an option, is wrong
//     ├── PolicyViolationError    a policy of the agent says no
//     ├── AuthError               no credentials, or wrong ones
//     │   └── PermissionDeniedError
//     ├── RateLimitError          too often; `retryAfterSeconds`
//     ├── NotFoundError, ConflictError
//     ├── GoneError               the rest of a stream cannot be had
//     ├── ServiceUnavailableError not now; `retryAfterSeconds`
//     ├── RunTimeoutError         the run took too long
//     ├── AgentError              the agent failed, or gave no output
//     ├── RunCancelledError       somebody ended the run
//     ├── RunInterruptedError     the run waits for an answer; `interrupts`
//     ├── ConnectionError         the server was not reached, or the connection broke and did not come back
//     └── UnexpectedAnswerError   this is no dockrion server, or something on the way to it answered

import type { InterruptEvent } from './events.js';

export interface ErrorFacts {
  code?: string;
  details?: unknown;
  /** The HTTP status, where an answer was the error. */
  status?: number | undefined;
  /** There is a run behind it: the agent may have done something already. */
  runId?: string | undefined;
  requestId?: string | undefined;
  retryAfterSeconds?: number | undefined;
  cause?: unknown;
}

export class DockrionError extends Error {
  readonly code: string;
  readonly details: unknown;
  readonly status: number | undefined;
  readonly runId: string | undefined;
  readonly requestId: string | undefined;
  readonly retryAfterSeconds: number | undefined;

  constructor(message: string, facts: ErrorFacts = {}) {
    super(message, facts.cause === undefined ? undefined : { cause: facts.cause });
    this.name = new.target.name;
    this.code = facts.code ?? 'INTERNAL_ERROR';
    this.details = facts.details ?? null;
    this.status = facts.status;
    this.runId = facts.runId;
    this.requestId = facts.requestId;
    this.retryAfterSeconds = facts.retryAfterSeconds;
  }
}

export class ValidationError extends DockrionError {}
export class PolicyViolationError extends DockrionError {}
export class AuthError extends DockrionError {}
export class PermissionDeniedError extends AuthError {}
export class RateLimitError extends DockrionError {}
export class NotFoundError extends DockrionError {}
export class ConflictError extends DockrionError {}
export class GoneError extends DockrionError {}
export class ServiceUnavailableError extends DockrionError {}
export class RunTimeoutError extends DockrionError {}
export class AgentError extends DockrionError {}
export class RunCancelledError extends DockrionError {}

export class RunInterruptedError extends DockrionError {
  constructor(
    message: string,
    readonly interrupts: Pick<InterruptEvent, 'interrupt_id' | 'value'>[],
    facts: ErrorFacts = {},
  ) {
    super(message, { code: 'INTERRUPTED', ...facts });
  }
}

export class ConnectionError extends DockrionError {
  constructor(message: string, facts: ErrorFacts = {}) {
    super(message, { code: 'CONNECTION_ERROR', ...facts });
  }
}

export class UnexpectedAnswerError extends DockrionError {
  constructor(message: string, facts: ErrorFacts = {}) {
    super(message, { code: 'UNEXPECTED_ANSWER', ...facts });
  }
}

const CLASSES: Record<string, typeof DockrionError> = {
  VALIDATION_ERROR: ValidationError,
  UNSUPPORTED_MEDIA_TYPE: ValidationError,
  PAYLOAD_TOO_LARGE: ValidationError,
  POLICY_VIOLATION: PolicyViolationError,
  AUTH_ERROR: AuthError,
  PERMISSION_DENIED: PermissionDeniedError,
  RATE_LIMIT_EXCEEDED: RateLimitError,
  TOO_MANY_SUBSCRIBERS: RateLimitError,
  NOT_FOUND: NotFoundError,
  CONFLICT: ConflictError,
  GONE: GoneError,
  SERVICE_UNAVAILABLE: ServiceUnavailableError,
  OVERLOADED: ServiceUnavailableError,
  SHUTTING_DOWN: ServiceUnavailableError,
  WORKER_LOST: ServiceUnavailableError,
  TIMEOUT: RunTimeoutError,
  AGENT_EXECUTION_ERROR: AgentError,
  INVALID_OUTPUT: AgentError,
};

/** Return the error that stands for `code`; one that is not known is a plain `DockrionError`. */
export function errorFor(code: string, message: string, facts: ErrorFacts = {}): DockrionError {
  const Class = Object.hasOwn(CLASSES, code) ? CLASSES[code] : undefined;
  return new (Class ?? DockrionError)(message, { ...facts, code });
}
