"""What Pilot shows of itself in the form in which istioctl and Kiali read it (ADR 0038). Changes nothing."""
