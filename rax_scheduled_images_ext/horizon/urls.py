"""The addresses of the panel's pages."""

from __future__ import annotations

from django.urls import path

from rax_scheduled_images_ext.horizon import views

_SERVER = "<str:server_id>/"

urlpatterns = [
    path("", views.IndexView.as_view(), name="index"),
    path("schedules/", views.ScheduleView.as_view(), name="schedules"),
    path(_SERVER, views.DetailView.as_view(), name="detail"),
    path(f"{_SERVER}schedule/", views.ScheduleView.as_view(), name="schedule"),
    path(f"{_SERVER}snapshot/", views.SnapshotView.as_view(), name="snapshot"),
    path(f"{_SERVER}prune/", views.PruneView.as_view(), name="prune"),
    path(f"{_SERVER}restore/", views.RestoreView.as_view(), name="restore"),
    path(
        f"{_SERVER}images/<str:image_id>/unprotect/",
        views.UnprotectView.as_view(),
        name="unprotect",
    ),
]
