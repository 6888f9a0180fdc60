"""What Pilot shows of itself in the form in which tools for Istio read it: istioctl, Kiali. Changes nothing."""
