"""examples/invoice-assistant: what it says of good invoices and of bad ones, and what it shows while it works."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[2] / "examples" / "invoice-assistant"
GOOD: str = json.loads((FOLDER / "invoice.json").read_text())["text"]


def answer(text: str) -> tuple[dict[str, Any], list[tuple[str, dict[str, Any]]]]:
    """Return the output for an invoice, and the events by type."""
    done = subprocess.run(
        [sys.executable, "-m", "dockrion.cli", "test", str(FOLDER), "-f", "-", "--stream"],
        input=json.dumps({"text": text}),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told = [line.partition(" ") for line in done.stderr.splitlines()]
    return json.loads(done.stdout), [(kind, json.loads(data)) for kind, _, data in told]


def test_a_good_invoice_is_to_be_paid_and_its_account_stays_inside() -> None:
    output, events = answer(GOOD)

    assert output == {
        "number": "2026-0117",
        "verdict": "pay",
        "problems": [],
        "report": "Invoice 2026-0117: pay.\nEverything fits.",
    }
    assert [data["node_name"] for kind, data in events if kind == "step"] == [
        "read",
        "check",
        "report",
    ]
    assert [data["output"]["iban"] for kind, data in events if kind == "tool_result"] == [
        "[REDACTED]"
    ]
    tokens = [data["content"] for kind, data in events if kind == "token"]
    assert "".join(tokens) == output["report"]
    assert len(tokens) > 3


def test_all_that_is_wrong_with_an_invoice_is_named() -> None:
    text = GOOD
    for right, wrong in (
        ("49.80", "49.90"),
        ("138.80", "137.80"),
        ("26.37", "26.38"),
        ("165.17", "195.17"),
        ("DE89", "DE88"),
    ):
        text = text.replace(right, wrong)

    output, _ = answer(text)

    assert output["verdict"] == "ask"
    assert output["problems"] == [
        "2 x Copy paper A4 should be 49.80, the invoice says 49.90",
        "the subtotal should be 138.90, the invoice says 137.80",
        "the VAT should be 26.18, the invoice says 26.38",
        "the total should be 164.18, the invoice says 195.17",
        "[REDACTED] is not the account of Nordwind Papier GmbH",
    ]


def test_an_unknown_supplier_is_a_question() -> None:
    output, _ = answer(GOOD.replace("Nordwind", "Südwind"))

    assert output["problems"] == ["Südwind Papier GmbH is no supplier of ours"]


def test_a_text_that_is_no_invoice_is_not_paid() -> None:
    output, _ = answer("Total nonsense x 1.2.3\nTotal x")

    assert (output["verdict"], output["problems"]) == (
        "ask",
        ["this is no invoice that I can read"],
    )
