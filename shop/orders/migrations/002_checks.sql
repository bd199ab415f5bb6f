-- What the application has always kept to, kept to by the database as well.

ALTER TABLE products
    ADD CONSTRAINT products_name_check CHECK (name <> '');

ALTER TABLE orders
    ADD CONSTRAINT orders_status_check CHECK (status IN ('confirmed')),
    ADD CONSTRAINT orders_order_key_check CHECK (char_length(order_key) BETWEEN 1 AND 200),
    ADD CONSTRAINT orders_attempt_id_check CHECK (char_length(attempt_id) BETWEEN 1 AND 200);
