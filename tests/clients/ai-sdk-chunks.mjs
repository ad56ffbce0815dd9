// Looks at recorded streams with the schema of `ai`: takes a list of them on standard input, prints for each the types of
// its chunks, those that the schema refuses, and the message that a page makes of it.

import { text } from 'node:stream/consumers';

import { parseJsonEventStream, readUIMessageStream, uiMessageChunkSchema } from 'ai';

const out = [];
for (const recorded of JSON.parse(await text(process.stdin))) {
  const types = [];
  const refused = [];
  const errors = [];
  const chunks = parseJsonEventStream({ stream: new Blob([recorded]).stream(), schema: uiMessageChunkSchema }).pipeThrough(
    new TransformStream({
      transform(parsed, controller) {
        if (parsed.success) {
          types.push(parsed.value.type);
          controller.enqueue(parsed.value);
        } else {
          refused.push(String(parsed.error));
        }
      },
    }),
  );
  let message = null;
  for await (const one of readUIMessageStream({ stream: chunks, onError: (error) => errors.push(error.message) })) {
    message = one;
  }
  out.push({ types, refused, errors, message });
}
process.stdout.write(JSON.stringify(out));
