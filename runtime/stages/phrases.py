"""Parts of requests that several rules read: how people ask politely, and what they call what came along."""

from __future__ import annotations

POLITE = r"(?:please\s+)?(?:(?:can|could|would)\s+you\s+(?:please\s+)?)?"
OBJECT = (
    r"(?:(?:this|these|the|that|my|following|attached|given|above|below)\s+){0,3}"
    r"(?:files?|documents?|texts?|pages?|letters?|e-?mails?|messages?|articles?|reports?|notes?|sentences?|comments?|posts?|invoices?|"
    r"receipts?|passages?|paragraphs?|contents?|reviews?|it|them|this|these)?"
)
