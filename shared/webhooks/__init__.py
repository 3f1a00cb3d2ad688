"""What goes to webhooks' receivers: which addresses, signed how, when again."""
