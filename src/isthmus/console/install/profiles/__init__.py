"""Profiles: settings that go together, each with a sentence that says what for."""
