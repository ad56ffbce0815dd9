"""A LangChain chain: prompt, model, parser. The model is an offline one, so that it runs as it is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models import SimpleChatModel
from langchain_core.messages import AIMessageChunk, BaseMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.outputs import ChatGenerationChunk
from langchain_core.prompts import ChatPromptTemplate


class Spelling(SimpleChatModel):
    """Spells the last message in the alphabet of radio operators; put your own chat model here."""

    @property
    def _llm_type(self) -> str:
        return "spelling"

    def _call(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> str:
        return "".join(_spelled(messages[-1].text))

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        for word in _spelled(messages[-1].text):
            chunk = ChatGenerationChunk(message=AIMessageChunk(content=word))
            if run_manager is not None:
                run_manager.on_llm_new_token(word, chunk=chunk)
            yield chunk


_ALPHABET = {
    word[0]: word
    for word in (
        *("Alfa", "Bravo", "Charlie", "Delta", "Echo", "Foxtrot", "Golf", "Hotel", "India"),
        *("Juliett", "Kilo", "Lima", "Mike", "November", "Oscar", "Papa", "Quebec", "Romeo"),
        *("Sierra", "Tango", "Uniform", "Victor", "Whiskey", "Xray", "Yankee", "Zulu"),
    )
}


def _spelled(text: str) -> Iterator[str]:
    letters = [letter for letter in text.upper() if not letter.isspace()]
    for at, letter in enumerate(letters):
        yield (" " if at else "") + _ALPHABET.get(letter, letter)


PROMPT = ChatPromptTemplate.from_messages(
    [("system", "Spell what you are given in the alphabet of radio operators."), ("user", "{text}")]
)
chain = PROMPT | Spelling() | StrOutputParser()
