// The parser: however the bytes are cut, and whatever ends the lines, the frames are the same.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { FrameReader } from 'dockrion-client';

import { FRAMES, STREAM } from './recorded.mjs';

const text = STREAM.toString('utf8');
const STREAMS = {
  'as recorded': STREAM,
  'with CRLF': Buffer.from(text.replaceAll('\n', '\r\n')),
  'with CR': Buffer.from(text.replaceAll('\n', '\r')),
  'with all three mixed': Buffer.from(text.replace(/\n/g, (_, place) => ['\n', '\r\n', '\r'][place % 3])),
  'with a byte order mark': Buffer.from(`\ufeff${text}`),
};

function read(pieces) {
  const reader = new FrameReader();
  return pieces.flatMap((piece) => reader.feed(piece));
}

// `deepEqual` of the whole, thousands of times, would take most of the time of all tests.
function sameCutAt(bytes, places, expected) {
  const frames = read(cutAt(bytes, places));
  const differs = ({ event, data, id }, number) => {
    const other = expected[number];
    return event !== other?.event || data !== other.data || id !== other.id;
  };
  if (frames.length !== expected.length || frames.some(differs)) {
    assert.deepEqual(frames, expected, `cut at ${places}`);
  }
}

function cutAt(bytes, places) {
  const edges = [0, ...places, bytes.length];
  return edges.slice(1).map((end, number) => bytes.subarray(edges[number], end));
}

for (const [name, bytes] of Object.entries(STREAMS)) {
  // Mixed line ends can make a blank line of a CR and a LF; all that must hold there is that cuts change nothing.
  const expected = name === 'with all three mixed' ? read([bytes]) : FRAMES;

  test(`${name}: a cut at any one byte changes nothing`, () => {
    for (let place = 0; place <= bytes.length; place += 1) {
      sameCutAt(bytes, [place], expected);
    }
  });

  test(`${name}: bytes one by one give the same`, () => {
    assert.deepEqual(read(cutAt(bytes, [...bytes.keys()])), expected);
  });

  test(`${name}: two cuts close to each other change nothing`, () => {
    for (let place = 0; place + 3 <= bytes.length; place += 1) {
      sameCutAt(bytes, [place, place + 1 + (place % 3)], expected);
    }
  });
}

test('what the standard says of odd lines', () => {
  const lines = ['data', '', 'data:a', 'data:  b', 'event:x', 'nothing: y', '', ': note', '', 'id: 5', '', 'retry: 70', 'retry: x', 'data: c', 'id', '', 'data: unended'];
  const reader = new FrameReader();
  assert.deepEqual(reader.feed(Buffer.from(lines.join('\n'))), [
    { event: 'message', data: '', id: undefined },
    { event: 'x', data: 'a\n b', id: undefined },
    { event: 'message', data: 'c', id: '' },
  ]);
  assert.equal(reader.retryMs, 70);
});

test('bytes that are no UTF-8 break nothing', () => {
  const bytes = Buffer.concat([Buffer.from('data: a'), Buffer.from([0xff, 0xc3]), Buffer.from('b\n\n')]);
  assert.deepEqual(read(cutAt(bytes, [8])), [{ event: 'message', data: 'a\ufffd\ufffdb', id: undefined }]);
});

test('an event without an end is not kept for ever', () => {
  const reader = new FrameReader();
  const piece = Buffer.alloc(1 << 24, 'x');
  assert.throws(() => {
    for (let count = 0; count < 10; count += 1) {
      reader.feed(piece);
    }
  }, RangeError);
});
