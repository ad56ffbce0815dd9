// Talks to a server with `ai` and the `Chat` of `@ai-sdk/react` as their users do. Takes `{url, key, cutting, held, strung,
// port}` as JSON on standard input, prints one JSON object with what came back.

import { text } from 'node:stream/consumers';

import { Chat } from '@ai-sdk/react';
import {
  DefaultChatTransport,
  lastAssistantMessageIsCompleteWithApprovalResponses,
  lastAssistantMessageIsCompleteWithToolCalls,
  readUIMessageStream,
  validateUIMessages,
} from 'ai';

const { url, key, cutting, held, strung, port } = JSON.parse(await text(process.stdin));
const headers = { Authorization: `Bearer ${key}` };

function transportTo(base, options = { headers }) {
  return new DefaultChatTransport({ api: `${base}/ai-sdk`, ...options });
}

function userSays(said) {
  return [{ id: '1', role: 'user', parts: [{ type: 'text', text: said }] }];
}

/** Read one answer as a message; return it as it was at last, with the states that it had. */
async function read(said) {
  const stream = await transportTo(url).sendMessages({ chatId: 'read', messages: userSays(said), trigger: 'submit-message' });
  const errors = [];
  let message = null;
  let states = 0;
  for await (const one of readUIMessageStream({ stream, onError: (error) => errors.push(error.message) })) {
    message = one;
    states += 1;
  }
  return { message, states, errors };
}

function chatOf(base, options = {}) {
  const seen = { data: [], finishes: [] };
  const chat = new Chat({
    transport: transportTo(base, options.transport),
    onData: (part) => seen.data.push(part),
    onFinish: ({ isAbort, isDisconnect, isError, finishReason }) =>
      seen.finishes.push({ isAbort, isDisconnect, isError, finishReason: finishReason ?? null }),
    ...options.chat,
  });
  return { chat, seen };
}

async function say(base, said, options) {
  const { chat, seen } = chatOf(base, options);
  await chat.sendMessage({ text: said });
  return told(chat, seen);
}

function told(chat, seen) {
  const { status, error, messages } = chat;
  return { status, error: error?.message ?? null, messages: structuredClone(messages), ...structuredClone(seen) };
}

/** Resolve once the chat is as it has to be. */
async function until(chat, isSo) {
  while (!isSo(chat)) {
    await new Promise((resolve) => {
      chat['~registerMessagesCallback'](resolve);
      chat['~registerStatusCallback'](resolve);
    });
  }
}

const read_ = { text: await read('one two'), failed: await read('fail') };
const tool = await say(url, 'tool');
const data = await say(url, 'data');
const failed = await say(url, 'fail');
const refused = await say(url, 'x', { transport: {} });
const redacted = await say(url, 'open sesame now');
const cut = await say(cutting, 'one two three four five six seven eight nine ten');

const { chat: asking, seen: askingSeen } = chatOf(url, {
  chat: {
    sendAutomaticallyWhen: (options) =>
      lastAssistantMessageIsCompleteWithApprovalResponses(options) || lastAssistantMessageIsCompleteWithToolCalls(options),
  },
});
const openQuestion = ({ lastMessage }) => lastMessage?.parts.findLast((part) => part.state === 'approval-requested');
await asking.sendMessage({ text: 'ask' });
const asked = told(asking, askingSeen);
const { approval } = openQuestion(asking);
await asking.addToolApprovalResponse({ id: approval.id, approved: true });
await until(asking, (chat) => openQuestion(chat) !== undefined && openQuestion(chat).approval.id !== approval.id);
const { toolCallId } = openQuestion(asking);
await until(asking, ({ status }) => status === 'ready');
await asking.addToolOutput({ tool: 'question', toolCallId, output: 'blue' });
await until(asking, ({ status, lastMessage }) => status === 'ready' && lastMessage.parts.at(-1).type === 'text');
const answered = told(asking, askingSeen);
// The chat goes on: what the agent hears of it.
await asking.sendMessage({ text: 'history' });
const history = told(asking, askingSeen);
// What pages keep, their servers look at.
await validateUIMessages({ messages: structuredClone(asking.messages) });

const { chat: again, seen: againSeen } = chatOf(url);
await again.sendMessage({ text: 'one' });
const firstId = again.lastMessage.id;
await again.regenerate();
const regenerated = { ...told(again, againSeen), isNew: again.lastMessage.id !== firstId };

const { chat: leaving, seen: leavingSeen } = chatOf(strung);
const left = leaving.sendMessage({ text: port });
await until(leaving, ({ lastMessage }) => lastMessage?.parts.some(({ text }) => text === 'So, '));
await leaving.stop();
await left;

const limited = await say(strung, port);

const { chat: cancelling, seen: cancellingSeen } = chatOf(held.url);
const ended = cancelling.sendMessage({ text: 'wait for nothing' });
await until(cancelling, ({ lastMessage }) => lastMessage?.parts.some(({ text }) => text === 'wait for nothing '));
await fetch(`${held.url}/runs/${cancelling.lastMessage.metadata.runId}`, { method: 'DELETE', headers });
await ended;

const { chat: coming, seen: comingSeen } = chatOf(held.url, { chat: { id: 'coming' } });
const nothing = await transportTo(held.url).reconnectToStream({ chatId: 'coming' });
const lost = coming.sendMessage({ text: 'wait a bit' });
await until(coming, ({ lastMessage }) => lastMessage?.role === 'assistant' && lastMessage.parts.some(({ text }) => text?.includes('bit')));
await coming.stop();
await lost;
const gone = told(coming, comingSeen);
const { writeFileSync } = await import('node:fs');
const back = coming.resumeStream();
await until(coming, ({ status }) => status === 'streaming');
writeFileSync(held.go, '');
await back;

process.stdout.write(
  JSON.stringify({
    read: read_,
    tool,
    data,
    failed,
    refused,
    redacted,
    cut,
    asked,
    answered,
    history,
    regenerated,
    left: told(leaving, leavingSeen),
    limited,
    cancelled: told(cancelling, cancellingSeen),
    nothing,
    gone,
    resumed: told(coming, comingSeen),
  }),
);
