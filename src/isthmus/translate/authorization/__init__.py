"""AuthorizationPolicies in Envoy's words: RBAC, and services that are asked (ADR 0023).

Source: Istio's "Authorization" concept and AuthorizationPolicy reference. Names of policies and statistics are Istio's.
"""
