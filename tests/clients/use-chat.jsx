// A page with `useChat`, as tests see it: what the hook gives stands in `#state` as JSON. The hash of the page's address is
// `{url, key, chat, resume}` as JSON. What was said is kept in the tab, as pages do that come back after a reload.

import { useEffect, useState } from 'react';

import { useChat } from '@ai-sdk/react';
import {
  DefaultChatTransport,
  lastAssistantMessageIsCompleteWithApprovalResponses,
  lastAssistantMessageIsCompleteWithToolCalls,
} from 'ai';
import { createRoot } from 'react-dom/client';

const { url, key, chat, resume } = JSON.parse(decodeURIComponent(location.hash.slice(1)));
const transport = new DefaultChatTransport({ api: `${url}/ai-sdk`, headers: { Authorization: `Bearer ${key}` } });

function Page() {
  const [said, setSaid] = useState('');
  const [data, setData] = useState([]);
  const hook = useChat({
    id: chat,
    messages: JSON.parse(sessionStorage.getItem(chat) ?? '[]'),
    resume,
    transport,
    onData: (part) => setData((before) => [...before, part]),
    sendAutomaticallyWhen: (options) =>
      lastAssistantMessageIsCompleteWithApprovalResponses(options) || lastAssistantMessageIsCompleteWithToolCalls(options),
  });
  const { messages, status, error } = hook;
  useEffect(() => sessionStorage.setItem(chat, JSON.stringify(messages)), [messages]);
  const last = messages.at(-1);
  const question = last?.parts.findLast((part) => part.state === 'approval-requested');
  const text = last?.role === 'assistant' ? last.parts.map((part) => part.text ?? '').join('') : '';
  return (
    <main data-status={status} data-asks={question !== undefined}>
      <input id="said" value={said} onChange={(event) => setSaid(event.target.value)} />
      <button id="send" onClick={() => hook.sendMessage({ text: said })} />
      <button id="stop" onClick={hook.stop} />
      <button id="regenerate" onClick={() => hook.regenerate()} />
      <button id="resume" onClick={() => hook.resumeStream()} />
      <button id="approve" onClick={() => hook.addToolApprovalResponse({ id: question.approval.id, approved: true })} />
      <button id="deny" onClick={() => hook.addToolApprovalResponse({ id: question.approval.id, approved: false })} />
      <button
        id="answer"
        onClick={() => hook.addToolOutput({ tool: 'question', toolCallId: question.toolCallId, output: said })}
      />
      <p id="text">{text}</p>
      <pre id="state">{JSON.stringify({ status, error: error?.message ?? null, messages, data })}</pre>
    </main>
  );
}

createRoot(document.body.appendChild(document.createElement('div'))).render(<Page />);
