"""The search with transfer learning: alphaDIA's plan, with a step between its passes."""
