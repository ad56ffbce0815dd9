"""The graph: read, check, report."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, TypedDict

from invoices import Invoice, read_invoice, wrong_sums
from langchain_core.tools import tool
from langgraph.config import get_stream_writer
from langgraph.graph import END, START, StateGraph

_SUPPLIERS = Path(__file__).with_name("suppliers.json")


class State(TypedDict):
    text: str
    invoice: Invoice
    problems: list[str]
    number: str
    verdict: str
    report: str


@tool
def find_supplier(name: str) -> dict[str, str] | None:
    """Look a supplier up in the master data, by the name on the invoice."""
    suppliers: list[dict[str, str]] = json.loads(_SUPPLIERS.read_text(encoding="utf-8"))
    return next((one for one in suppliers if one["name"].lower() == name.lower()), None)


def read(state: State) -> dict[str, Any]:
    invoice = read_invoice(state["text"])
    return {"invoice": invoice, "number": invoice["number"]}


async def check(state: State) -> dict[str, Any]:
    invoice = state["invoice"]
    if not invoice["number"]:
        return {"problems": ["this is no invoice that I can read"]}
    problems = wrong_sums(invoice)
    known = await find_supplier.ainvoke({"name": invoice["supplier"]})
    if known is None:
        problems.append(f"{invoice['supplier']} is no supplier of ours")
    elif known["iban"].replace(" ", "") != invoice["iban"].replace(" ", ""):
        problems.append(f"{invoice['iban']} is not the account of {known['name']}")
    return {"problems": problems}


async def report(state: State) -> dict[str, Any]:
    problems = state["problems"]
    lines = [f"- {problem}" for problem in problems] or ["Everything fits."]
    verdict = "ask" if problems else "pay"
    text = f"Invoice {state['number'] or '?'}: {verdict}.\n" + "\n".join(lines)
    write = get_stream_writer()
    for word in re.findall(r"\S+\s*", text):
        write(word)  # a token of the stream
    return {"verdict": verdict, "report": text}


builder = StateGraph(State)
for node in (read, check, report):
    builder.add_node(node.__name__, node)
builder.add_edge(START, "read")
builder.add_edge("read", "check")
builder.add_edge("check", "report")
builder.add_edge("report", END)

graph = builder.compile()
