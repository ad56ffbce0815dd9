"""Reads an invoice out of plain text, and says what is wrong with it."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import TypedDict

_MONEY = r"(\d{1,9}(?:\.\d{1,4})?)"
_FIELD = re.compile(r"^(Invoice|Date|IBAN)\s+(.+)$", re.MULTILINE)
_ITEM = re.compile(rf"^(\d{{1,6}}) x (.+?)\s+{_MONEY}\s+{_MONEY}$", re.MULTILINE)
_SUM = re.compile(rf"^(Subtotal|Total)\s+{_MONEY}", re.MULTILINE)
_VAT = re.compile(rf"^VAT (\d{{1,2}}) ?%\s+{_MONEY}", re.MULTILINE)


class Item(TypedDict):
    quantity: int
    name: str
    price: Decimal
    amount: Decimal


class Invoice(TypedDict):
    """Of a text that is no invoice, `number` is empty."""

    supplier: str
    number: str
    date: str
    iban: str
    items: list[Item]
    subtotal: Decimal
    vat_percent: int
    vat: Decimal
    total: Decimal


def read_invoice(text: str) -> Invoice:
    fields = dict(_FIELD.findall(text))
    sums = {name: Decimal(amount) for name, amount in _SUM.findall(text)}
    vat = _VAT.search(text)
    return Invoice(
        supplier=text.strip().partition("\n")[0].strip(),
        number=fields.get("Invoice", ""),
        date=fields.get("Date", ""),
        iban=fields.get("IBAN", ""),
        items=[
            Item(quantity=int(quantity), name=name, price=Decimal(price), amount=Decimal(amount))
            for quantity, name, price, amount in _ITEM.findall(text)
        ],
        subtotal=sums.get("Subtotal", Decimal(0)),
        vat_percent=int(vat[1]) if vat else 0,
        vat=Decimal(vat[2]) if vat else Decimal(0),
        total=sums.get("Total", Decimal(0)),
    )


def wrong_sums(invoice: Invoice) -> list[str]:
    """Return a sentence for each sum that does not come out."""
    cent = Decimal("0.01")
    sums = [
        (f"{item['quantity']} x {item['name']}", item["quantity"] * item["price"], item["amount"])
        for item in invoice["items"]
    ]
    sums += [
        (
            "the subtotal",
            sum((item["amount"] for item in invoice["items"]), Decimal(0)),
            invoice["subtotal"],
        ),
        ("the VAT", invoice["subtotal"] * invoice["vat_percent"] / 100, invoice["vat"]),
        ("the total", invoice["subtotal"] + invoice["vat"], invoice["total"]),
    ]
    return [
        f"{what} should be {right.quantize(cent)}, the invoice says {said}"
        for what, right, said in sums
        if right.quantize(cent) != said.quantize(cent)
    ]
