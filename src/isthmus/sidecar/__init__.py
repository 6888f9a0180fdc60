"""The agent beside each workload: its certificates, DNS, captured traffic and Envoy; and how it comes into pods."""
