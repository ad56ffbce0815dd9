// Markdown that comes in pieces: the cuts do not show, nothing of it is ever more than text, and none takes long.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { elements, html } from './page.mjs';

const { MarkdownStream } = await import('../src/markdown.js');

const TEXT = `# One

Two *three* and **four**, \`five *six*\`, ~~seven~~, snake_case_name and 2 * 3 * 4.
**First *thing*** and ***all***.
A [link](https://example.com/a_b) and https://example.com/c(d), \\*no stars\\*.

## Lists

- a
- b
  1. c
  2. d

     more of d
- e

3. x
4. y

> quoted
> - list

| a | b |
|---|:-:|
| 1 | **2** |

---

\`\`\`js
const a = "<b>" + \`x\`;

# no heading
\`\`\`

~~~
tildes \`\`\`
~~~

####### seven
The end`;

function rendered(pieces) {
  const root = document.createElement('div');
  const stream = new MarkdownStream(root);
  for (const piece of pieces) {
    stream.append(piece);
  }
  return root;
}

/** The same numbers every time. */
function chances(seed) {
  return () => (seed = (seed * 48271) % 2147483647) / 2147483647;
}

function cutUp(text, chance, longest) {
  const pieces = [];
  for (let start = 0; start < text.length; ) {
    const end = start + 1 + Math.floor(chance() * longest);
    pieces.push(text.slice(start, end));
    start = end;
  }
  return pieces;
}

test('what each kind of text becomes', () => {
  const shown = html(rendered([TEXT]));
  for (const part of [
    '<h3 dir="auto">One</h3>',
    '<h4 dir="auto">Lists</h4>',
    '<em>three</em>',
    '<strong>four</strong>',
    '<code>five *six*</code>',
    '<del>seven</del>',
    'snake_case_name and 2 * 3 * 4.<br></br><strong>',
    'href="https://example.com/a_b"',
    '*no stars*',
    '<ol dir="auto" start="3"><li>x</li><li>y</li></ol>',
    '<blockquote dir="auto"><p dir="auto">quoted</p><ul dir="auto"><li>list</li></ul></blockquote>',
    '<td class="center"><strong>2</strong></td>',
    '<hr></hr>',
    '<strong>First <em>thing</em></strong> and <strong><em>all</em></strong>.',
    'const a = "&lt;b>" + `x`;\n\n# no heading',
    'tildes ```',
  ]) {
    assert.ok(shown.includes(part), `${part}\n${shown}`);
  }
});

test('tasks have a box, and addresses their brackets', () => {
  const text = '- [ ] open\n- [x] done\n\n[a](https://a.b/c_(d)) (see [e](https://a.b/f)) and (https://a.b/g_(h)) https://a.b/i).';
  const shown = html(rendered([text]));
  for (const part of ['<li class="task">☐ open</li><li class="task">☑ done</li>', '>a</a> (see ', '>e</a>) and (', '>https://a.b/g_(h)</a>) ', '>https://a.b/i</a>).']) {
    assert.ok(shown.includes(part), `${part}\n${shown}`);
  }
  assert.ok(shown.includes('href="https://a.b/c_(d)"'), shown);
  assert.equal(html(rendered([...text])), shown);
});

test('a text that is cut anywhere becomes the same', () => {
  const expected = html(rendered([TEXT]));
  assert.equal(html(rendered([...TEXT])), expected);
  for (let seed = 1; seed <= 300; seed += 1) {
    const pieces = cutUp(TEXT, chances(seed), 1 + (seed % 40));
    assert.equal(html(rendered(pieces)), expected, JSON.stringify(pieces));
  }
});

test('random texts, too, are the same however they are cut', () => {
  const parts = ['*', '**', '_', '`', '```', '~~~', '\n', '\n\n', '- ', '  ', '1. ', '> ', '# ', '|', '|-|', 'a', 'word ', '[x](', 'https://a.b', ')', '\\', '---', '<i>'];
  for (let seed = 1; seed <= 2000; seed += 1) {
    const chance = chances(seed);
    const text = Array.from({ length: 30 }, () => parts[Math.floor(chance() * parts.length)]).join('');
    assert.equal(html(rendered([...text])), html(rendered([text])), JSON.stringify(text));
  }
});

test('code of many lines is the same however it comes, and a fence ends it wherever it is cut', () => {
  const lines = Array.from({ length: 350 }, (_, number) => `${' '.repeat(number % 90)}line ${number} ${number % 7 ? '' : '```'}`);
  const text = `before\n\n\`\`\`py\n${lines.join('\n')}\n   \`\`\`\nbehind *it*`;
  const expected = html(rendered([text]));
  assert.equal(expected.match(/<span class="lines whole">/g).length, 3);
  assert.equal(expected.match(/<span class="lines">/g).length, 1);
  assert.ok(expected.includes('<em>it</em>'));
  assert.equal(html(rendered([...text])), expected);
  for (let seed = 1; seed <= 40; seed += 1) {
    assert.equal(html(rendered(cutUp(text, chances(seed), 1 + seed * 9))), expected);
  }
});

const LONG = {
  'a paragraph': 'Low water comes first. '.repeat(900),
  'a word': 'w'.repeat(20_000),
  'a list': Array.from({ length: 400 }, (_, number) => `- item ${number}\n  - below it\n`).join(''),
  'a numbered list': Array.from({ length: 400 }, (_, number) => `${number + 1}. item\n`).join(''),
  'a table': `| a | b |\n|---|--:|\n${Array.from({ length: 400 }, (_, number) => `| ${number} | *b* |\n`).join('')}`,
};

for (const [name, text] of Object.entries(LONG)) {
  test(`${name} that is too long for one block is the same however it comes`, () => {
    const root = rendered([`${text}\n\nThe end.`]);
    const expected = html(root);
    for (let seed = 1; seed <= 12; seed += 1) {
      const pieces = cutUp(`${text}\n\nThe end.`, chances(seed), seed * 200);
      assert.equal(html(rendered(pieces)), expected);
    }
    assert.ok(expected.includes('<p dir="auto">The end.</p>'));
  });
}

test('what is cut out of a long list or table is still one', () => {
  const tables = elements(rendered([LONG['a table']]));
  assert.equal(tables.filter((one) => one.tag === 'td').length, 800);
  assert.equal(tables.filter((one) => one.tag === 'p').length, 0);
  assert.ok(tables.filter((one) => one.tag === 'table').every((one) => html(one).includes('<th class="right">b</th>')));
  const lists = rendered([LONG['a list']]);
  assert.equal(elements(lists).filter((one) => one.tag === 'li').length, 800);
  const [part] = lists.children;
  assert.ok(part.children.every((one) => html(one).startsWith('<ul dir="auto"><li>item ')));
});

test('a text that is too long for one frame is all there when it has had some', async () => {
  const text = `${TEXT}\n\n`.repeat(60);
  const frames = [];
  const { requestAnimationFrame } = globalThis;
  globalThis.requestAnimationFrame = (frame) => frames.push(frame);
  let around = 0;
  const root = document.createElement('div');
  const stream = new MarkdownStream(root, (write) => {
    around += 1;
    write();
  });
  // The clock of a slow machine: each look at it is a frame later.
  const { now } = performance;
  let ms = 0;
  performance.now = () => (ms += 16);
  stream.append(text);
  stream.append('And this.');
  performance.now = now;
  assert.ok(!html(root).includes('And this.'));
  while (frames.length > 0) {
    frames.shift()();
  }
  globalThis.requestAnimationFrame = requestAnimationFrame;
  assert.ok(around > 0);
  assert.equal(html(root), html(rendered([...text, 'And this.'])));
});

test('nothing of a text is more than text', () => {
  const attacks = [
    '<script>alert(1)</script><img src=x onerror=alert(1)>',
    '[x](javascript:alert(1)) [y](JaVaScRiPt:alert(1)) [z](data:text/html,x) [w](vbscript:x) [v](//evil.example)',
    '![i](https://evil.example/pixel.png) <https://a.b/"onclick="x>',
    '[a](https://a.b/"onmouseover="alert(1))',
    '```"><script>\nx\n```',
  ];
  const allowed = new Set(['div', 'p', 'br', 'a', 'pre', 'button', 'code', 'span', 'em', 'strong', 'del']);
  for (const element of elements(rendered([attacks.join('\n\n')]))) {
    assert.ok(allowed.has(element.tag), element.tag);
    for (const [name, value] of Object.entries(element.attributes)) {
      assert.ok(['href', 'target', 'rel', 'class', 'dir', 'type', 'tabindex', 'aria-label'].includes(name), name);
      assert.ok(name !== 'href' || /^(https?:|mailto:)/.test(value), value);
    }
  }
});

for (const part of ['*a', '**a ', '*a**', '_a', '`', '``a`', '[', '[a](', '![', '~~a', '- ', '> ', '\\', 'https://', '|', '# ', '```\n', '*a **b ', '  - a\n']) {
  test(`many times ${JSON.stringify(part)} takes no time that anybody sees`, () => {
    const text = part.repeat(40_000 / part.length);
    const started = process.cpuUsage();
    rendered(text.match(/[^]{1,400}/g));
    const { user } = process.cpuUsage(started);
    assert.ok(user < 3_000_000, `${user / 1000} ms for a hundred frames`);
  });
}
