"""What redaction of a stream costs and holds back: prints JSON. Four rules, tokens of six characters fed one by one."""

from __future__ import annotations

import json
import time

from dockrion.policy.redaction import RedactionRules

RULES = (
    r"[\w.+-]+@[\w-]+\.[\w.]+",
    r"\b\d{3}-\d{2}-\d{4}\b",
    r"\b(?:\d[ -]?){13,16}\b",
    r"sk-[A-Za-z0-9]{20,}",
)
PROSE = (
    "An agent reads the question, looks up what it needs and writes an answer of a few sentences. "
    "In 2024 about 12 of 30 teams had such a service; by the end of the year there were 1,250 calls a day, "
    "and most of them took less than two seconds (the slowest one: 41.7 s). Nobody liked to wait, so the text "
    "came word by word. "
)
TOKENS = 200_000
ADVERSARIES = {
    "one run": "a" * 100_000,
    "runs of a thousand": ("a" * 999 + " ") * 100,
    "runs that break off": ("a" * 1000 + "@@") * 100,
    "dots": "a." * 50_000,
    "digits": "1" * 100_000,
    "spaced digits": "1 " * 50_000,
    "keys": "sk-" * 33_000,
    "ats": "a@" * 50_000,
}


def main() -> None:
    rules = RedactionRules(RULES)
    text = PROSE * (TOKENS * 6 // len(PROSE) + 1)
    tokens = [text[at : at + 6] for at in range(0, TOKENS * 6, 6)]
    mean, high = held_back(rules, PROSE * 20)
    result = {
        "cpu_s_per_million_tokens": round(
            (cpu(rules, tokens) - cpu(RedactionRules([]), tokens)) * 1e6 / TOKENS, 2
        ),
        "held_back_mean": round(mean, 2),
        "held_back_p99": high,
        "adversarial_cpu_s_per_100_kb": {
            f"{name}, {size} at a time": round(cpu(rules, pieces(hostile, size)), 3)
            for name, hostile in ADVERSARIES.items()
            for size in (1, 1000, len(hostile))
        },
    }
    print(json.dumps(result, indent=2))


def cpu(rules: RedactionRules, tokens: list[str]) -> float:
    redactor = rules.stream()
    began = time.process_time()
    for token in tokens:
        redactor.feed(token)
    redactor.flush()
    return time.process_time() - began


def held_back(rules: RedactionRules, text: str) -> tuple[float, int]:
    """Return mean and 99th percentile of the characters that are held after each character."""
    redactor = rules.stream()
    left = 0
    held: list[int] = []
    for number, letter in enumerate(text, 1):
        left += len(redactor.feed(letter))
        held.append(number - left)
    held.sort()
    return sum(held) / len(held), held[len(held) * 99 // 100]


def pieces(text: str, size: int) -> list[str]:
    return [text[at : at + size] for at in range(0, len(text), size)]


if __name__ == "__main__":
    main()
