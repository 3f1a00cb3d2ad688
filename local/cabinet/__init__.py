"""Simulated cabinets: they use the real protocol over real MQTT, and can fail as hardware does."""
