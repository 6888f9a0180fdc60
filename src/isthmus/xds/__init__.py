"""Versioned resources over ADS: who asked for what, what they hold, what is due to them. Types are known
by URL only; what they mean is the business of translation."""
