"""A locustfile: shoppers who hardly rest, so that a sudden end finds many orders in flight."""

from locust import between

from locustfiles import shoppers


class Hurried(shoppers.Shopper):
    """Orders many times per second."""

    wait_time = between(0, 0.04)
