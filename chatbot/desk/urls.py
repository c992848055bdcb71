from __future__ import annotations

from django.urls import path

from chatbot.desk import steps

urlpatterns = [
    path("next", steps.take_next, name="desk-next"),
    path("events/<uuid:event_id>/decide", steps.decide_event, name="desk-decide"),
    path("events/<uuid:event_id>/release", steps.release_event, name="desk-release"),
    path("events/<uuid:event_id>/context", steps.show_context, name="desk-context"),
]
