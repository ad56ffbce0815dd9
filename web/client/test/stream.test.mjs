// Streams over connections that break: the events are always the same, once and in order.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { AuthError, Client, ConnectionError, GoneError, NotFoundError, RateLimitError, RunInterruptedError, ServiceUnavailableError } from 'dockrion-client';

import { all, cut, EVENTS, eventOf, frame, refusal, rest, RUN_ID, sendJson, serve, startStream, STREAM } from './recorded.mjs';

const QUICK = { firstMs: 0, longestMs: 0, attempts: 5 };

async function withServer(answer, use) {
  const server = await serve(answer);
  try {
    await use(new Client(server.url, { reconnect: QUICK }), server.requests);
  } finally {
    await server.stop();
  }
}

/** A server that holds the run: what it sends on each connection, `pieces` tells; the rest comes whole. */
function holding(pieceOf) {
  return ({ method, headers }, response, number) => {
    const last = headers['last-event-id'];
    const bytes = last === undefined ? STREAM : rest(last);
    const end = pieceOf(number, method);
    if (end !== undefined && end < bytes.length) {
      cut(response, bytes.subarray(0, end));
    } else {
      startStream(response);
      response.end(bytes);
    }
  };
}

test('a direct stream that is cut at any byte gives the same events', async () => {
  const requests = [];
  let place = 0;
  // In memory: so many connections would take a minute.
  const fetch = async (url, { method, headers }) => {
    requests.push(`${method} ${headers['Last-Event-ID'] ? 'again' : new URL(url).pathname}`);
    const last = headers['Last-Event-ID'];
    const bytes = last === undefined ? STREAM : rest(last);
    const isCut = requests.length === 1;
    const body = new ReadableStream({
      start(controller) {
        controller.enqueue(isCut ? bytes.subarray(0, place) : bytes);
      },
      pull(controller) {
        isCut ? controller.error(new TypeError('cut')) : controller.close();
      },
    });
    return new Response(body, { headers: { 'Content-Type': 'text/event-stream', 'X-Run-ID': RUN_ID } });
  };
  const client = new Client('http://agent', { reconnect: QUICK, fetch });
  const expected = JSON.stringify(EVENTS);
  for (place = 0; place <= STREAM.length; place += 1) {
    requests.length = 0;
    const events = await all(client.stream({ text: 'x' }));
    if (JSON.stringify(events) !== expected) {
      assert.deepEqual(events, EVENTS, `cut at ${place}`);
    }
    assert.equal(requests.filter((one) => one === 'POST /invoke/stream').length, 1, `a second run, cut at ${place}`);
  }
});

test('a connection that is cut at some bytes gives the same events', async () => {
  let place = 0;
  let isFirst = true;
  const pieces = () => (isFirst ? ((isFirst = false), place) : undefined);
  await withServer(holding(pieces), async (client, requests) => {
    for (place = 0; place <= STREAM.length; place += 61) {
      isFirst = true;
      requests.length = 0;
      assert.deepEqual(await all(client.stream({ text: 'x' })), EVENTS, `cut at ${place}`);
      const posts = requests.filter((one) => one.method === 'POST');
      assert.ok(posts.slice(1).every((one) => one.headers['last-event-id']), `a second run, cut at ${place}`);
    }
  });
});

test('a stream that is cut again and again gives the same events', async () => {
  await withServer(holding((number) => 150 + 97 * (number % 5)), async (client, requests) => {
    assert.deepEqual(await all(client.runs.events(RUN_ID)), EVENTS);
    assert.ok(requests.length > 5);
    assert.ok(requests.every((one) => one.url === `/runs/${RUN_ID}/events`));
  });
});

test('a server that sends events twice is not believed', async () => {
  const twice = ({ headers }, response) => {
    if (headers['last-event-id'] === undefined) {
      cut(response, STREAM.subarray(0, 900));
    } else {
      startStream(response);
      response.end(STREAM);
    }
  };
  await withServer(twice, async (client) => {
    assert.deepEqual(await all(client.stream({})), EVENTS);
  });
});

test('204 is the end: the last event was seen', async () => {
  const [started, , ...others] = EVENTS;
  const answer = (_, response, number) => {
    if (number === 1) {
      startStream(response);
      response.end(frame(started) + frame(others[0]));
    } else {
      response.writeHead(204).end();
    }
  };
  await withServer(answer, async (client, requests) => {
    assert.deepEqual(await all(client.runs.events(RUN_ID)), [started, others[0]]);
    assert.equal(requests.length, 2);
  });
});

test('410 is an error: the rest cannot be had', async () => {
  const answer = ({ headers }, response) => {
    if (headers['last-event-id'] === undefined) {
      cut(response, STREAM.subarray(0, 900));
    } else {
      sendJson(response, 410, refusal('GONE', 'Not held here.'));
    }
  };
  await withServer(answer, async (client, requests) => {
    await assert.rejects(all(client.stream({})), (error) => {
      assert.ok(error instanceof GoneError);
      assert.equal(error.message, 'Not held here.');
      assert.equal(error.code, 'GONE');
      return true;
    });
    assert.equal(requests.length, 2);
  });
});

test('a connection that breaks before the first event of a run that is not held is an error, and no second run', async () => {
  const answer = ({ method }, response) => {
    if (method === 'POST') {
      cut(response, Buffer.alloc(0));
    } else {
      sendJson(response, 404, refusal('NOT_FOUND'));
    }
  };
  await withServer(answer, async (client, requests) => {
    await assert.rejects(all(client.stream({})), GoneError);
    assert.deepEqual(requests.map((one) => one.method), ['POST', 'GET']);
  });
});

test('a request that is lost before its answer is sent again only with a run id of the caller', async () => {
  const answer = ({ method }, response, number) => {
    if (method === 'GET') {
      startStream(response);
      response.end(STREAM);
    } else if (number === 1) {
      response.destroy();
    } else {
      sendJson(response, 409, refusal('CONFLICT'), { 'X-Run-ID': RUN_ID });
    }
  };
  await withServer(answer, async (client, requests) => {
    await assert.rejects(all(client.stream({})), ConnectionError);
    assert.equal(requests.length, 1);
  });
  await withServer(answer, async (client, requests) => {
    assert.deepEqual(await all(client.stream({}, { runId: RUN_ID })), EVENTS);
    assert.deepEqual(
      requests.map((one) => `${one.method} ${one.url}`),
      [
        `POST /invoke/stream?run_id=${RUN_ID}`,
        `POST /invoke/stream?run_id=${RUN_ID}`,
        `GET /runs/${RUN_ID}/events?from_sequence=0`,
      ],
    );
  });
});

test('a gap is told once, however often the stream is cut behind it', async () => {
  const end = eventOf('complete', 9, { output: 1 });
  const answer = (_, response, number) => {
    startStream(response);
    const gap = frame(eventOf('gap', null, { from: 1, to: number === 2 ? 5 : 7 }));
    if (number === 1) {
      response.write(frame(EVENTS[0]), () => response.destroy());
    } else if (number === 2) {
      response.write(gap, () => response.destroy());
    } else {
      response.end(gap + frame(eventOf('token', 8, { content: 'x' })) + frame(end));
    }
  };
  await withServer(answer, async (client) => {
    const events = await all(client.runs.events(RUN_ID));
    assert.deepEqual(
      events.map((one) => [one.type, one.sequence ?? [one.from, one.to]]),
      [['started', 0], ['gap', [1, 5]], ['gap', [6, 7]], ['token', 8], ['complete', 9]],
    );
  });
});

test('a subscription that times out goes on at once, and one that ends at a shutdown after a pause', async () => {
  const [first, second, ...others] = EVENTS;
  const answer = (_, response, number) => {
    startStream(response);
    response.end(
      {
        1: frame(first) + frame(eventOf('timeout', null)),
        2: frame(second),
        3: '',
      }[number] ?? others.map(frame).join(''),
    );
  };
  const server = await serve(answer);
  try {
    const client = new Client(server.url, { reconnect: QUICK });
    const told = [];
    const stream = client.runs.events(RUN_ID, { onReconnect: ({ attempt }) => told.push(attempt) });
    assert.deepEqual(await all(stream), EVENTS);
    assert.deepEqual(told, [1, 2]);
    assert.deepEqual(server.requests.map((one) => one.headers['last-event-id']), [undefined, first.id, second.id, second.id]);
  } finally {
    await server.stop();
  }
});

test('a server that is away is tried again, with pauses that grow, and given up in the end', async () => {
  const delays = [];
  const server = await serve((_, response) => sendJson(response, 503, refusal('SHUTTING_DOWN')));
  try {
    const client = new Client(server.url, { reconnect: { attempts: 6, firstMs: 4, longestMs: 16 } });
    const stream = client.runs.events(RUN_ID, { onReconnect: ({ delayMs }) => delays.push(delayMs) });
    await assert.rejects(all(stream), (error) => {
      assert.ok(error instanceof ConnectionError);
      assert.ok(error.cause instanceof ServiceUnavailableError);
      return true;
    });
  } finally {
    await server.stop();
  }
  assert.equal(delays.length, 6);
  for (const [number, longest] of [4, 8, 16, 16, 16, 16].entries()) {
    assert.ok(delays[number] <= longest, `${delays}`);
  }
  assert.ok(new Set(delays).size > 1, 'each pause is another one');
});

test('a refusal that says when to come back is waited for, if that is soon', async () => {
  const answer = (seconds) => (_, response, number) => {
    if (number === 1) {
      sendJson(response, 503, refusal('OVERLOADED'), { 'Retry-After': seconds });
    } else {
      startStream(response);
      response.end(STREAM);
    }
  };
  await withServer(answer('0'), async (client, requests) => {
    assert.deepEqual(await all(client.stream({})), EVENTS);
    assert.equal(requests.length, 2);
  });
  await withServer(answer('3600'), async (client, requests) => {
    await assert.rejects(all(client.stream({})), ServiceUnavailableError);
    assert.equal(requests.length, 1);
  });
});

test('what is refused for good is not tried again', async () => {
  const detail = { detail: { message: 'Invalid API key', code: 'AUTH_ERROR' } };
  await withServer((_, response) => sendJson(response, 401, detail), async (client, requests) => {
    await assert.rejects(all(client.stream({})), AuthError);
    await assert.rejects(all(client.runs.events(RUN_ID)), AuthError);
    assert.equal(requests.length, 2);
  });
  const often = { detail: { message: 'Too often', code: 'RATE_LIMIT_EXCEEDED' } };
  await withServer((_, response) => sendJson(response, 429, often), async (client, requests) => {
    await assert.rejects(all(client.stream({})), RateLimitError);
    assert.equal(requests.length, 1);
  });
});

test('a run that is forgotten while its follower is away is an error', async () => {
  const answer = (_, response, number) =>
    number === 1 ? cut(response, STREAM.subarray(0, 900)) : sendJson(response, 404, refusal('NOT_FOUND'));
  await withServer(answer, async (client) => {
    await assert.rejects(all(client.runs.events(RUN_ID)), NotFoundError);
  });
});

test('a direct stream is over at a question; a subscription goes on behind it', async () => {
  const question = eventOf('interrupt', 1, { interrupt_id: 'q', value: 'Send it?' });
  const end = eventOf('complete', 2, { output: 'sent' });
  const answer = ({ method }, response) => {
    startStream(response);
    response.end(frame(EVENTS[0]) + frame(question) + (method === 'GET' ? frame(end) : ''));
  };
  await withServer(answer, async (client, requests) => {
    const stream = client.stream({});
    await assert.rejects(stream.output(), (error) => {
      assert.ok(error instanceof RunInterruptedError);
      assert.deepEqual(error.interrupts, [question]);
      assert.equal(error.runId, RUN_ID);
      return true;
    });
    assert.equal(requests.length, 1);
    const following = client.runs.events(RUN_ID);
    assert.equal(await following.output(), 'sent');
    assert.deepEqual(following.interrupts, []);
  });
});

test('a direct stream that breaks between questions fetches the others, and behind the last is over', async () => {
  const questions = ['a', 'b'].map((id, number) => eventOf('interrupt', 1 + number, { interrupt_id: id, value: id }));
  const answer = ({ method, headers }, response) => {
    if (method === 'GET') {
      const interrupts = questions.map(({ interrupt_id, value }) => ({ interrupt_id, value }));
      sendJson(response, 200, { run_id: RUN_ID, status: 'INTERRUPTED', interrupts });
    } else if (headers['last-event-id'] === undefined) {
      cut(response, frame(EVENTS[0]) + frame(questions[0]));
    } else {
      cut(response, frame(questions[1]));
    }
  };
  await withServer(answer, async (client, requests) => {
    assert.deepEqual(await all(client.stream({})), [EVENTS[0], ...questions]);
    assert.deepEqual(requests.map((one) => one.method), ['POST', 'GET', 'POST', 'GET']);
  });
});

test('leaving the loop closes the connection', async () => {
  let closed;
  const left = new Promise((resolve) => (closed = resolve));
  const answer = (_, response) => {
    startStream(response);
    response.write(frame(EVENTS[0]));
    response.on('close', closed);
  };
  await withServer(answer, async (client) => {
    for await (const event of client.stream({})) {
      assert.equal(event.type, 'started');
      break;
    }
    await left;
  });
});

test('a signal ends the stream with its reason, while it reads and while it waits', async () => {
  const silent = (_, response) => {
    startStream(response);
    response.write(frame(EVENTS[0]));
  };
  const reason = new Error('enough');
  await withServer(silent, async (client) => {
    const abort = new AbortController();
    const stream = client.stream({}, { signal: abort.signal });
    const reading = (async () => {
      for await (const _ of stream) {
        abort.abort(reason);
      }
    })();
    await assert.rejects(reading, reason);
  });
  const server = await serve((_, response) => response.destroy());
  try {
    const abort = new AbortController();
    const client = new Client(server.url, { reconnect: { firstMs: 1e9, longestMs: 1e9 } });
    const onReconnect = () => abort.abort(reason);
    await assert.rejects(all(client.runs.events(RUN_ID, { signal: abort.signal, onReconnect })), reason);
    await assert.rejects(all(client.runs.events(RUN_ID, { signal: AbortSignal.abort(reason) })), reason);
  } finally {
    await server.stop();
  }
});

test('closing ends the loop without an error', async () => {
  const silent = (_, response) => {
    startStream(response);
    response.write(frame(EVENTS[0]));
  };
  await withServer(silent, async (client) => {
    const stream = client.stream({});
    const seen = [];
    for await (const event of stream) {
      seen.push(event.type);
      setImmediate(() => stream.close());
    }
    assert.deepEqual(seen, ['started']);
  });
});

test('a connection that falls silent counts as broken', async () => {
  const answer = (_, response, number) => {
    startStream(response);
    if (number === 1) {
      response.write(frame(EVENTS[0]));
    } else {
      response.end(STREAM);
    }
  };
  await withServer(answer, async (client, requests) => {
    assert.deepEqual(await all(client.runs.events(RUN_ID, { idleTimeoutMs: 50 })), EVENTS);
    assert.equal(requests.length, 2);
  });
});

test('cancel ends a run that is kept, and leaves one that is not', async () => {
  for (const status of [200, 404]) {
    let stream;
    const answer = ({ method, url }, response) => {
      if (method === 'DELETE') {
        sendJson(response, status, status === 200 ? { run_id: RUN_ID, status: 'CANCELLED' } : refusal('NOT_FOUND'));
        assert.equal(url, `/runs/${RUN_ID}?reason=enough`);
        if (status === 200) {
          live.end(frame(eventOf('cancelled', 1, { reason: 'enough' })));
        }
      } else {
        live = response;
        startStream(response);
        response.write(frame(EVENTS[0]));
      }
    };
    let live;
    await withServer(answer, async (client) => {
      const seen = [];
      stream = client.stream({});
      for await (const event of stream) {
        seen.push(event.type);
        if (event.type === 'started') {
          void stream.cancel('enough');
        }
      }
      assert.deepEqual(seen, status === 200 ? ['started', 'cancelled'] : ['started']);
    });
  }
});

test('a connection is used again once its stream is over', async () => {
  const ports = new Set();
  const server = await serve((_, response) => {
    ports.add(response.socket.remotePort);
    startStream(response);
    response.end(STREAM);
  });
  try {
    const client = new Client(server.url);
    for (let count = 0; count < 5; count += 1) {
      await all(client.stream({}));
    }
    // Where the last chunk comes a moment after the last event, the next request may have been faster.
    assert.ok(ports.size <= 2, `${ports.size} connections`);
  } finally {
    await server.stop();
  }
});

test('an answer that is no stream is an error that says so', async () => {
  const answer = (_, response) => {
    response.writeHead(200, { 'Content-Type': 'text/html' });
    response.end('<html>');
  };
  await withServer(answer, async (client) => {
    await assert.rejects(all(client.stream({})), { code: 'UNEXPECTED_ANSWER', message: /text\/html/ });
  });
});
