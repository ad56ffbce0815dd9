// Calls that are no streams: what is sent, what is given back, what is thrown.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { AgentError, Client, ConflictError, ConnectionError, DockrionError, PermissionDeniedError, UnexpectedAnswerError, ValidationError } from 'dockrion-client';

import { refusal, RUN_ID, sendJson, serve } from './recorded.mjs';

const METADATA = { agent: 'e2e', framework: 'custom', run_id: RUN_ID };
const QUICK = { firstMs: 0, longestMs: 0 };

async function asked(answer, use, options = {}) {
  const server = await serve(answer);
  try {
    const client = new Client(`${server.url}/agents/one/?x=1#y`, { reconnect: QUICK, ...options });
    return { result: await use(client), requests: server.requests };
  } finally {
    await server.stop();
  }
}

const accepted = { run_id: RUN_ID, status: 'ACCEPTED', events_url: '', created_at: '' };

test('invoke gives the output, below the prefix of the URL', async () => {
  const body = { success: true, output: { a: 1 }, metadata: METADATA };
  const { result, requests } = await asked(
    (_, response) => sendJson(response, 200, body),
    (client) => client.invoke({ text: 'x' }, { runId: 'r', threadId: 't' }),
  );
  assert.deepEqual(result, { status: 'COMPLETED', runId: RUN_ID, output: { a: 1 }, metadata: METADATA });
  const [{ method, url, headers, body: sent }] = requests;
  assert.equal(`${method} ${url}`, 'POST /agents/one/invoke?run_id=r&thread_id=t');
  assert.equal(headers['content-type'], 'application/json');
  assert.equal(sent, '{"text":"x"}');
});

test('invoke gives the questions of a run that waits', async () => {
  const interrupts = [{ interrupt_id: 'q', value: 'Send it?' }];
  const body = { success: true, status: 'INTERRUPTED', interrupts, metadata: METADATA };
  const { result } = await asked((_, response) => sendJson(response, 202, body), (client) => client.invoke({}));
  assert.deepEqual(result, { status: 'INTERRUPTED', runId: RUN_ID, interrupts, metadata: METADATA });
});

test('invoke is not sent again when it may have run', async () => {
  const lost = await asked((_, response) => response.destroy(), (client) => client.invoke({}).catch((error) => error));
  assert.ok(lost.result instanceof ConnectionError);
  assert.equal(lost.requests.length, 1);
  const busy = (_, response) => sendJson(response, 503, refusal('SHUTTING_DOWN'), { 'X-Run-ID': RUN_ID, 'Retry-After': '0' });
  const ran = await asked(busy, (client) => client.invoke({}).catch((error) => error));
  assert.equal(ran.result.runId, RUN_ID);
  assert.equal(ran.requests.length, 1);
});

test('every kind of error has its class, and says all that the server said', async () => {
  const details = [{ pointer: '/text', message: 'is required', type: 'required' }];
  const cases = [
    [400, { ...refusal('VALIDATION_ERROR', 'Wrong.'), details }, ValidationError],
    [403, { detail: { message: 'May not.', code: 'PERMISSION_DENIED' } }, PermissionDeniedError],
    [409, refusal('CONFLICT'), ConflictError],
    [500, refusal('AGENT_EXECUTION_ERROR'), AgentError],
    [418, refusal('TEAPOT'), DockrionError],
    [418, refusal('constructor'), DockrionError],
    [502, '<html>', UnexpectedAnswerError],
  ];
  for (const [status, body, Class] of cases) {
    const headers = { 'X-Request-ID': 'q', 'X-Run-ID': RUN_ID };
    const { result } = await asked(
      (_, response) => sendJson(response, status, body, headers),
      (client) => client.invoke({}).catch((error) => error),
    );
    assert.equal(result.constructor, Class);
    assert.equal(result.name, Class.name);
    assert.equal(result.status, status);
    assert.equal(result.requestId, 'q');
    assert.equal(result.runId, RUN_ID);
    const told = body.detail ?? body;
    if (told.code) {
      assert.equal(result.code, told.code);
      assert.equal(result.message, told.error ?? told.message);
      assert.deepEqual(result.details, told.details ?? null);
    }
  }
});

test('a run is started once, though the request is sent again with the same key', async () => {
  const { result, requests } = await asked(
    (_, response, number) => (number < 3 ? response.destroy() : sendJson(response, 202, accepted)),
    (client) => client.runs.create({ text: 'x' }),
  );
  assert.equal(result.run_id, RUN_ID);
  assert.equal(requests.length, 3);
  const keys = requests.map((one) => one.headers['idempotency-key']);
  assert.match(keys[0], /^[0-9a-f]{32}$/);
  assert.deepEqual(new Set(keys).size, 1);
});

test('runs are looked at, listed, answered and cancelled', async () => {
  const { requests } = await asked(
    (_, response) => sendJson(response, 200, { ...accepted, runs: [], next_cursor: null }),
    async (client) => {
      await client.runs.get('a b');
      await client.runs.list({ limit: 3, status: 'INTERRUPTED' });
      await client.runs.resume(RUN_ID, { q: 'yes' });
      await client.runs.resume(RUN_ID, undefined);
      await client.runs.cancel(RUN_ID, { reason: 'not needed' });
    },
  );
  assert.deepEqual(
    requests.map((one) => [`${one.method} ${one.url.replace('/agents/one', '').replace(RUN_ID, 'R')}`, one.body]),
    [
      ['GET /runs/a%20b', ''],
      ['GET /runs?limit=3&status=INTERRUPTED', ''],
      ['POST /runs/R/resume', '{"q":"yes"}'],
      ['POST /runs/R/resume', 'null'],
      ['DELETE /runs/R?reason=not+needed', ''],
    ],
  );
});

test('credentials are asked for with each request', async () => {
  let count = 0;
  const ask = async (options) => {
    const { requests } = await asked(
      (_, response) => sendJson(response, 200, { runs: [], next_cursor: null }),
      async (client) => {
        await client.runs.list();
        await client.runs.list();
      },
      options,
    );
    return requests.map((one) => one.headers);
  };
  const keyed = await ask({ apiKey: 'k', headers: { 'X-Own': 'o' } });
  assert.deepEqual([keyed[0]['x-api-key'], keyed[0]['x-own']], ['k', 'o']);
  const named = await ask({ apiKey: 'k', apiKeyHeader: 'X-Mine' });
  assert.equal(named[0]['x-mine'], 'k');
  const tokens = await ask({ token: async () => `t${(count += 1)}` });
  assert.deepEqual(tokens.map((one) => one['authorization']), ['Bearer t1', 'Bearer t2']);
});

test('a signal ends a call, also between two tries', async () => {
  const reason = new Error('enough');
  const abort = new AbortController();
  const answer = (_, response) => {
    response.destroy();
    setImmediate(() => abort.abort(reason));
  };
  const slow = { reconnect: { firstMs: 1e9, longestMs: 1e9 } };
  const { result } = await asked(answer, (client) => client.runs.list({ signal: abort.signal }).catch((error) => error), slow);
  assert.equal(result, reason);
});

test('the address for an EventSource has a ticket where there are credentials', async () => {
  const give = (_, response) => sendJson(response, 200, { ticket: 'a/b+c', expires_in: 60 });
  const use = (client) => client.runs.eventSourceUrl(RUN_ID, { fromSequence: 3 });
  const known = await asked(give, use, { apiKey: 'secret' });
  const [{ method, url, headers, body }] = known.requests;
  assert.equal(`${method} ${url}`, 'POST /agents/one/auth/ticket');
  assert.equal(headers['x-api-key'], 'secret');
  // Below the agent's URL, as the server sees it.
  assert.deepEqual(JSON.parse(body), { path: `/runs/${RUN_ID}/events` });
  assert.ok(known.result.endsWith(`/agents/one/runs/${RUN_ID}/events?from_sequence=3&ticket=a%2Fb%2Bc`));
  const open = await asked(give, use);
  assert.equal(open.requests.length, 0);
  assert.ok(open.result.endsWith(`/agents/one/runs/${RUN_ID}/events?from_sequence=3`));
});

test('a ticket is for one path, and what is wrong with it is an error', async () => {
  const { result } = await asked(
    (_, response) => sendJson(response, 200, { ticket: 't', expires_in: 60 }),
    (client) => client.ticket('/invoke/ws'),
    { token: 'secret' },
  );
  assert.deepEqual(result, { ticket: 't', expires_in: 60 });
  const refused = await asked(
    (_, response) => sendJson(response, 400, refusal('VALIDATION_ERROR')),
    (client) => client.ticket('nowhere').catch((error) => error),
  );
  assert.ok(refused.result instanceof ValidationError);
});

test('who starts a run is told before it is asked for again', async () => {
  const told = [];
  let calls = 0;
  const { result } = await asked(
    (_, response) => ((calls += 1) < 3 ? response.destroy() : sendJson(response, 202, accepted)),
    (client) => client.runs.create({}, { onReconnect: ({ attempt, cause }) => told.push([attempt, cause.code]) }),
  );
  assert.equal(result.run_id, RUN_ID);
  assert.deepEqual(told, [[1, 'CONNECTION_ERROR'], [2, 'CONNECTION_ERROR']]);
});

test('a redirect is followed where the key stays with its server, and nowhere else', async () => {
  const elsewhere = await serve((_, response) => sendJson(response, 200, { success: true, output: 1, metadata: METADATA }));
  try {
    const body = { success: true, output: 'here', metadata: METADATA };
    const moved = (to) => ({ url }, response) =>
      url.startsWith('/moved') ? sendJson(response, 200, body) : sendJson(response, 307, {}, { Location: to });
    const here = await asked(moved('/moved'), (client) => client.invoke({ a: 1 }), { apiKey: 'k' });
    assert.equal(here.result.output, 'here');
    assert.equal(here.requests[1].body, '{"a":1}');
    assert.equal(here.requests[1].headers['x-api-key'], 'k');

    for (const to of [`${elsewhere.url}/invoke`, 'https://127.0.0.1:1/', '//127.0.0.1:1/', 'http://[', '/again']) {
      const answer = to === '/again' ? (_, response) => sendJson(response, 307, {}, { Location: to }) : moved(to);
      const away = await asked(answer, (client) => client.invoke({}).catch((error) => error), { apiKey: 'k' });
      assert.ok(away.result instanceof UnexpectedAnswerError, to);
      assert.equal(away.result.status, 307);
    }
    assert.equal(elsewhere.requests.length, 0);
  } finally {
    await elsewhere.stop();
  }
});

test('an answer without end is let go', async () => {
  const pour = (_, response) => {
    response.writeHead(200, { 'Content-Type': 'application/json' });
    const more = () => {
      while (!response.destroyed && response.write('x'.repeat(1 << 20)));
    };
    response.on('drain', more);
    more();
  };
  const { result } = await asked(pour, (client) => client.invoke({}).catch((error) => error));
  assert.ok(result instanceof ConnectionError);
  assert.match(result.cause.message, /longer than/);
});
