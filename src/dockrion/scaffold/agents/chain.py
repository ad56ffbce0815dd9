"""The agent: a LangChain chain that streams its answer word by word.

It runs as it is, without a model or a key: put your chat model in the place of `say`, as in

    chain = prompt | init_chat_model("openai:gpt-4o-mini") | StrOutputParser()
"""

import asyncio
import re
from collections.abc import AsyncIterator

from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompt_values import PromptValue
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnableGenerator

prompt = ChatPromptTemplate.from_messages(
    [("system", "Answer in one sentence."), ("user", "{query}")]
)


async def say(prompts: AsyncIterator[PromptValue]) -> AsyncIterator[str]:
    """Stand for a model: say the last message back, a word at a time."""
    async for one in prompts:
        for word in re.findall(r"\S+\s*", f"You asked: {one.to_messages()[-1].text}"):
            yield word
            await asyncio.sleep(0.05)  # a model would take about as long


chain = prompt | RunnableGenerator(say) | StrOutputParser()
