// Talks to a server with the client of `@modelcontextprotocol/sdk` as its users do. Takes `{url, key, cutting, strung, port}`
// as JSON on standard input, prints one JSON object with what came back.

import { text } from 'node:stream/consumers';

import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { ElicitRequestSchema } from '@modelcontextprotocol/sdk/types.js';

const { url, key, cutting, strung, port } = JSON.parse(await text(process.stdin));
const TOOL = 'e2e';

/** Connect, let `talk` use the client, and close. With `answers`, its user answers questions. */
async function talking(base, talk, { answers, headers = { 'X-API-Key': key } } = {}) {
  const capabilities = answers === undefined ? {} : { elicitation: {} };
  const client = new Client({ name: 'test', version: '1' }, { capabilities });
  const asked = [];
  if (answers !== undefined) {
    client.setRequestHandler(ElicitRequestSchema, ({ params }) => {
      asked.push(params.message);
      return answers.shift();
    });
  }
  const errors = [];
  client.onerror = (error) => errors.push(error.message);
  try {
    const reconnectionOptions = {
      initialReconnectionDelay: 10,
      maxReconnectionDelay: 10,
      reconnectionDelayGrowFactor: 1,
      maxRetries: 2,
    };
    await client.connect(
      new StreamableHTTPClientTransport(new URL(`${base}/mcp`), { requestInit: { headers }, reconnectionOptions }),
    );
    return { ...(await talk(client)), asked, errors };
  } catch (error) {
    return { error: [error.code ?? null, error.message], asked, errors };
  } finally {
    await client.close();
  }
}

/** Call the tool; return its result and what it told meanwhile. */
async function call(client, args, { tokens = false, ...options } = {}) {
  const told = [];
  const params = { name: TOOL, arguments: args, ...(tokens && { _meta: { 'dockrion/tokens': true } }) };
  const result = await client.callTool(params, undefined, {
    onprogress: ({ progress, total, message }) => told.push([progress, total, message]),
    ...options,
  });
  return { result, told };
}

const words = 'w0 w1 w2 w3 w4 w5 w6 w7';
const listed = await talking(url, async (client) => ({ ...(await client.listTools()), server: client.getServerVersion() }));
const said = await talking(url, (client) => call(client, { text: 'one two' }));
const failed = await talking(url, (client) => call(client, { do: 'fail' }));
const wrong = await talking(url, (client) => call(client, { do: 1 }));
const unknown = await talking(url, (client) => client.callTool({ name: 'other', arguments: {} }));
const pinged = await talking(url, (client) => client.ping());
const refused = await talking(url, (client) => client.ping(), { headers: {} });
const yes = { action: 'accept', content: { answer: 'yes' } };
const answered = await talking(url, (client) => call(client, { do: 'ask' }), { answers: [yes] });
const both = await talking(url, (client) => call(client, { do: 'both' }), { answers: [yes, yes] });
const declined = await talking(url, (client) => call(client, { do: 'ask' }), { answers: [{ action: 'decline' }] });
const unasked = await talking(url, (client) => call(client, { do: 'ask' }));
const cut = await talking(cutting, (client) => call(client, { text: words }, { tokens: true }));

const leaving = new AbortController();
const left = await talking(strung, (client) =>
  call(client, { puppet: port }, { tokens: true, signal: leaving.signal, onprogress: () => leaving.abort('enough') }),
);

process.stdout.write(
  JSON.stringify({ listed, said, failed, wrong, unknown, pinged, refused, answered, both, declined, unasked, cut, left }),
);
