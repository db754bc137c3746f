"""Rows that are not yet as they should be; they must be so, or be taken out here."""

OPEN = {"158-bert_variants"}
