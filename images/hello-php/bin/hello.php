<?php

declare(strict_types=1);

use Acme\Hello\Application;

require __DIR__ . '/../vendor/autoload.php';

exit(Application::create(dirname(__DIR__))->run(array_slice($argv, 1)));
