/* The Mandelbrot set, row by row: the escape-time algorithm with nothing cut short. */

#include "kernels.h"

static uint32_t iterations(double re, double im, uint32_t max) {
    double x = 0, y = 0;
    for (uint32_t done = 0; done < max; done++) {
        double x2 = x * x, y2 = y * y;
        if (x2 + y2 > 4.0)
            return done;
        y = 2.0 * x * y + im;
        x = x2 - y2 + re;
    }
    return max;
}

void regatta_mandelbrot_row(uint32_t y, uint32_t height, uint32_t max_iterations, uint32_t *row, size_t width) {
    double pixel_height = 2.5 / height, pixel_width = 3.5 / (double)width;
    double im = (height / 2.0 - y - 0.5) * pixel_height;
    for (size_t x = 0; x < width; x++)
        row[x] = iterations(-2.5 + ((double)x + 0.5) * pixel_width, im, max_iterations);
}
