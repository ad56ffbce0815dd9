// Reads streams with eventsource-parser: its TransformStream behind Node's own fetch.

import { EventSourceParserStream } from 'eventsource-parser/stream';

import { runJobs } from './jobs.mjs';

await runJobs(async (url, request, onEvent) => {
  const response = await fetch(url, request);
  if (!response.ok) {
    throw new Error(`${response.status} ${await response.text()}`);
  }
  const events = response.body
    .pipeThrough(new TextDecoderStream())
    .pipeThrough(new EventSourceParserStream({ onError: 'terminate' }));
  for await (const event of events) {
    onEvent(event);
  }
});
