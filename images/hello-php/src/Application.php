<?php

declare(strict_types=1);

namespace Acme\Hello;

use Acme\Greeter\Greeter;
use Acme\Phrasebook\Phrasebook;

/** The command line: a greeting, or with --versions what this program was built from. */
final class Application
{
    private const USAGE = "usage: hello [--language=CODE] [NAME]\n       hello --versions\n";

    public function __construct(
        private readonly Greeter $greeter,
        private readonly Versions $versions,
    ) {
    }

    /** @param string $root the folder that holds build.json */
    public static function create(string $root): self
    {
        return new self(new Greeter(new Phrasebook()), Versions::read($root . '/build.json'));
    }

    /**
     * @param list<string> $arguments without the program's own name
     * @return int the exit code: 0, or 2 for a wrong call
     */
    public function run(array $arguments): int
    {
        $language = 'en';
        $names = [];
        foreach ($arguments as $argument) {
            if ($argument === '--versions') {
                echo json_encode($this->versions, JSON_PRETTY_PRINT | JSON_UNESCAPED_SLASHES | JSON_THROW_ON_ERROR), "\n";

                return 0;
            }
            if ($argument === '--help') {
                echo self::USAGE;

                return 0;
            }
            if (str_starts_with($argument, '--language=')) {
                $language = substr($argument, strlen('--language='));
            } elseif (str_starts_with($argument, '-')) {
                return $this->wrongCall("unknown option '$argument'");
            } else {
                $names[] = $argument;
            }
        }

        try {
            echo $this->greeter->greet($names === [] ? 'world' : implode(' ', $names), $language), "\n";
        } catch (\InvalidArgumentException $error) {
            return $this->wrongCall($error->getMessage());
        }

        return 0;
    }

    private function wrongCall(string $why): int
    {
        fwrite(STDERR, "hello: $why\n" . self::USAGE);

        return 2;
    }
}
