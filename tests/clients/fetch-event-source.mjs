// Reads streams with @microsoft/fetch-event-source, which expects a browser around it.

import { runJobs } from './jobs.mjs';

// It takes timers from `window`, and takes its visibility listener off `document` even where it put none on.
globalThis.window = globalThis;
globalThis.document = { hidden: false, addEventListener() {}, removeEventListener() {} };
const { fetchEventSource } = await import('@microsoft/fetch-event-source');

await runJobs((url, request, onEvent) =>
  fetchEventSource(url, {
    ...request,
    openWhenHidden: true,
    onmessage: onEvent,
    onerror(error) {
      throw error; // else it would send the POST again
    },
  }),
);
