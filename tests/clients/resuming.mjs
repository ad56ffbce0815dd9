// Reads streams with @microsoft/fetch-event-source as its users do: when a stream is cut, it sends its POST again.

// It takes timers from `window`, and takes its visibility listener off `document` even where it put none on.
globalThis.window = globalThis;
globalThis.document = { hidden: false, addEventListener() {}, removeEventListener() {} };
const { fetchEventSource } = await import('@microsoft/fetch-event-source');
const { runJobs } = await import('./jobs.mjs');

class Stop extends Error {}

await runJobs(async (url, request, onEvent) => {
  try {
    await fetchEventSource(url, {
      ...request,
      openWhenHidden: true,
      async onopen(response) {
        if (response.status === 204) {
          throw new Stop(); // it had all events
        }
        if (response.status !== 200) {
          throw new Stop(`${response.status} ${await response.text()}`);
        }
      },
      onmessage: onEvent,
      onerror(error) {
        if (error instanceof Stop) {
          throw error;
        }
        return 1; // milliseconds until it tries again
      },
    });
  } catch (error) {
    if (!(error instanceof Stop) || error.message) {
      throw error;
    }
  }
});
