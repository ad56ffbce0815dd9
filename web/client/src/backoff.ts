// How long a client waits before it tries again: longer each time, and each client for another while.

export interface ReconnectOptions {
  /** Tries in a row that bring nothing, before it gives up. */
  attempts: number;
  /** The first pause is at most so long, each next one at most twice the one before. */
  firstMs: number;
  longestMs: number;
  /** A server that says "come back later than in so many seconds" is not waited for. */
  longestRetryAfterSeconds: number;
}

export const RECONNECT: ReconnectOptions = {
  attempts: 10,
  firstMs: 250,
  longestMs: 10_000,
  longestRetryAfterSeconds: 30,
};

/** Any part of what the pause may be, so that the callers of a server that restarts do not all come back at once. */
export function pauseMs(options: ReconnectOptions, failures: number, atLeastMs = 0): number {
  const mayBe = Math.min(options.longestMs, options.firstMs * 2 ** Math.min(failures - 1, 30));
  return atLeastMs + Math.random() * mayBe;
}

/** Wait; reject with the reason of the signal as soon as it is aborted. */
export function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    signal.throwIfAborted();
    const stop = (): void => {
      clearTimeout(timer);
      reject(signal.reason);
    };
    const timer = setTimeout(() => {
      signal.removeEventListener('abort', stop);
      resolve();
    }, ms);
    signal.addEventListener('abort', stop, { once: true });
  });
}
