from __future__ import annotations

from django.urls import path

from chatbot.desk import appeals, figures_page, policy_page, sanctions, steps

urlpatterns = [
    path("next", steps.take_next, name="desk-next"),
    path("events/<uuid:event_id>/decide", steps.decide_event, name="desk-decide"),
    path("events/<uuid:event_id>/release", steps.release_event, name="desk-release"),
    path("events/<uuid:event_id>/context", steps.show_context, name="desk-context"),
    path("events/<uuid:event_id>/withdraw", sanctions.withdraw, name="desk-withdraw"),
    path("events/<uuid:event_id>/warn", sanctions.give_warning, name="desk-warn"),
    path("events/<uuid:event_id>/suspend", sanctions.suspend_person, name="desk-suspend"),
    path("figures/", figures_page.show_figures, name="desk-figures"),
    path("policy/", policy_page.show_policy, name="desk-policy"),
    path("appeals/", appeals.list_appeals, name="desk-appeals"),
    path("appeals/<uuid:suspension_id>/", appeals.show_appeal, name="desk-appeal"),
]
